//! The file `postmaster.pid` in a data folder of PostgreSQL.

/// What `postmaster.pid` says of the server that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PostmasterPid {
    /// The process; it may have ended, and its number may be another's by now.
    pub(super) pid: u32,
    /// The TCP port, which a server that has only just begun hasn't written yet.
    pub(super) port: Option<u16>,
    /// Whether it accepts connections, by its own account.
    pub(super) ready: bool,
}

impl PostmasterPid {
    /// Reads the file's lines: pid, data folder, start time, port, socket folder, listen address,
    /// shared memory, status. The server writes them one by one; `None` until there is a pid.
    pub(super) fn parse(text: &str) -> Option<PostmasterPid> {
        let mut lines = text.lines().map(str::trim);
        let pid = lines.next()?.parse().ok()?;
        let port = lines.nth(2).and_then(|port| port.parse().ok());
        let ready = lines.nth(3) == Some("ready");
        Some(PostmasterPid { pid, port, ready })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_file_and_one_that_is_still_written() {
        let text = "4711\n/p/.tidewell/postgres/data\n1790000000\n23456\n\n127.0.0.1\n  1 2\nready   \n";
        let expected = PostmasterPid { pid: 4711, port: Some(23_456), ready: true };
        assert_eq!(PostmasterPid::parse(text), Some(expected.clone()));
        let starting = text.replace("ready   ", "starting");
        let expected = PostmasterPid { ready: false, ..expected };
        assert_eq!(PostmasterPid::parse(&starting), Some(expected));
        let begun = PostmasterPid { pid: 4711, port: None, ready: false };
        assert_eq!(PostmasterPid::parse("4711\n"), Some(begun));
        assert_eq!(PostmasterPid::parse(""), None);
        assert_eq!(PostmasterPid::parse("half"), None);
    }
}
