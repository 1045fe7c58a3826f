//! Who sits at the command line, for the records.

use nix::unistd::{User, getuid};
use tidewell::db::dead_letter::Actor;
use uuid::Uuid;

/// Who is at the keyboard, as the trail names them.
pub(super) struct Person {
    name: String,
    request_id: String,
}

impl Person {
    pub(super) fn here() -> Self {
        let user = User::from_uid(getuid()).ok().flatten().map_or_else(|| getuid().to_string(), |user| user.name);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self { name: format!("command line ({user}@{})", host.trim()), request_id: Uuid::now_v7().simple().to_string() }
    }

    pub(super) fn actor(&self) -> Actor<'_> {
        Actor { name: &self.name, request_id: &self.request_id }
    }
}
