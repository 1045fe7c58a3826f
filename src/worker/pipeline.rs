//! The middle of reading, writing and settling, which go on beside each other.

use std::collections::VecDeque;

use futures::{StreamExt, future::BoxFuture, stream::FuturesOrdered};
use tokio::sync::mpsc::{Receiver, Sender};

use super::stop::Stop;

/// Pieces that are read and not settled, at most.
const AHEAD: usize = 4;

/// Writes several pieces side by side, and passes them on in the order in which they were read. Ends when there are no more, or when
/// nobody takes them: why is told by whoever does not.
pub(super) async fn write_in_order<'a, Read, Written>(
    mut to_write: Receiver<Read>,
    written: Sender<Written>,
    write: impl Fn(Read) -> BoxFuture<'a, Result<Written, Stop>>,
) -> Result<(), Stop> {
    let (mut under_way, mut done) = (FuturesOrdered::new(), VecDeque::new());
    loop {
        // Whatever waits, what is under way goes on: a request that nobody looks at would run into its timeout.
        tokio::select! {
            Some(piece) = to_write.recv(), if under_way.len() + done.len() < AHEAD => under_way.push_back(write(piece)),
            Some(piece) = under_way.next() => done.push_back(piece?),
            room = written.reserve(), if !done.is_empty() => match (room, done.pop_front()) {
                (Ok(room), Some(piece)) => room.send(piece),
                _ => return Ok(()),
            },
            else => return Ok(()),
        }
    }
}
