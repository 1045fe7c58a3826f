//! Tidewell as a rival: a sync job, with `work` beside it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Told, course};
use crate::{process::Process, raw::Typesense, sync::Jobs, tenant::Site};

pub(super) struct Tidewell<'a> {
    site: &'a Site<'a>,
    jobs: Jobs,
    work: Process,
    /// Of each course.
    made: Vec<(String, Value)>,
}

impl<'a> Tidewell<'a> {
    pub(super) fn start(site: &'a Site<'a>, jobs: Jobs) -> anyhow::Result<Self> {
        Ok(Self { site, jobs, work: site.work()?, made: vec![] })
    }

    pub(super) async fn run(&mut self, course: &str) -> anyhow::Result<Told> {
        let job = self.job(course).await?;
        let began = Instant::now();
        self.jobs.begin(&job, true).await?;
        let seconds = began.elapsed().as_secs_f64();
        self.work.check()?;
        Ok(Told { seconds, text: self.told(&job).await? })
    }

    pub(super) async fn run_and_die(
        &mut self,
        course: &str,
        collection: &str,
        at: u64,
        typesense: &Typesense,
    ) -> anyhow::Result<()> {
        let job = self.job(course).await?;
        self.jobs.begin(&job, false).await?;
        // The alias follows when the run has ended.
        course::wait_for(typesense, &format!("{collection}_v1"), at).await?;
        self.work.kill().await
    }

    /// Nobody asks for it: another worker takes the run up once the lease of the lost one has run out.
    pub(super) async fn go_on(&mut self) -> anyhow::Result<Told> {
        let began = Instant::now();
        self.work = self.site.work()?;
        let under_way =
            "select exists (select from public.typesense_sync_runs where status in ('queued', 'running', 'paused'))";
        while sqlx::query_scalar::<_, bool>(under_way).fetch_one(&self.site.pool).await? {
            self.work.check()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Told { seconds: began.elapsed().as_secs_f64(), text: String::new() })
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.work.stop().await
    }

    async fn job(&mut self, course: &str) -> anyhow::Result<Value> {
        if let Some((_, job)) = self.made.iter().find(|(known, _)| known == course) {
            return Ok(job.clone());
        }
        let name = format!("tidewell_bench_{course}");
        let config = json!({ "tags": { "type": "string[]" } });
        let more = json!({ "name": name, "collection_name": name, "field_config": config, "auto_sync_enabled": false });
        let job = self.jobs.make_of(course, more).await?;
        for made in [name.clone(), format!("{name}_v1")] {
            self.jobs.typesense.remember(&made);
        }
        self.made.push((course.to_owned(), job.clone()));
        Ok(job)
    }

    /// What the dead letters say, and the rows that they name.
    async fn told(&self, job: &Value) -> anyhow::Result<String> {
        let path = format!("/v1/dead-letters?syncJob={}", job["id"].as_str().unwrap_or_default());
        Ok(String::from_utf8_lossy(&self.jobs.operator.get(&path).await?).into_owned())
    }
}
