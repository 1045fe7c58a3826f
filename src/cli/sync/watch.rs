//! `tidewell sync status --watch`: the table again and again, and a bar for each run under way.

use std::{io::IsTerminal, time::Duration};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use sqlx::PgPool;
use tidewell::db::sync::{job, run};
use tokio::signal;
use uuid::Uuid;

use super::{bar, status};
use crate::cli::{Session, page::PageArgs};

/// Between two looks, on a terminal and elsewhere.
const LOOK: Duration = Duration::from_millis(500);
const LOOK_UNSEEN: Duration = Duration::from_secs(2);

pub(super) async fn watch(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    let watching = async {
        match std::io::stdout().is_terminal() && !session.json {
            true => Screen::new().keep(pool, page).await,
            false => repeat(session, pool, page).await,
        }
    };
    tokio::select! {
        ended = watching => ended,
        interrupted = signal::ctrl_c() => interrupted.context("Ctrl-C can't be heard"),
    }
}

async fn repeat(session: &Session, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
    loop {
        status::show(session, pool, page).await?;
        tokio::time::sleep(LOOK_UNSEEN).await;
    }
}

/// What is redrawn in its place.
struct Screen {
    lines: MultiProgress,
    table: ProgressBar,
    /// Of each run under way.
    bars: Vec<(Uuid, ProgressBar)>,
}

impl Screen {
    fn new() -> Self {
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let table = lines.add(ProgressBar::no_length().with_style(style).with_finish(ProgressFinish::Abandon));
        Self { lines, table, bars: Vec::new() }
    }

    async fn keep(mut self, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
        loop {
            self.draw(pool, page).await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn draw(&mut self, pool: &PgPool, page: &PageArgs) -> anyhow::Result<()> {
        let jobs = job::statuses(pool, page.cursor, page.limit()).await?;
        let gone = |id: &Uuid| !jobs.iter().any(|job| job.active_run_id == Some(*id));
        for (_, bar) in self.bars.extract_if(.., |(id, _)| gone(id)) {
            bar.finish_and_clear();
            self.lines.remove(&bar);
        }
        // An empty line between the two.
        self.table.set_message(format!("{}\n", status::text(&jobs)));
        for job in &jobs {
            let Some(id) = job.active_run_id else { continue };
            let Some(run) = run::find(pool, id).await? else { continue };
            let at = self.bars.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
                self.bars.push((id, self.lines.add(bar::new(&job.name))));
                self.bars.len() - 1
            });
            bar::show(&self.bars[at].1, &run);
        }
        Ok(())
    }
}
