//! The node of a backend that has everything which was taken before: in a cluster its leader.
//!
//! A follower passes a write on, and gives the leader's answer before it has applied the write itself; what it is read for then may be
//! from before. So what a decision rests on is read from the leader alone, after a write that changes nothing.

use futures::{StreamExt, stream::FuturesUnordered};
use reqwest::Method;
use serde::Deserialize;

use super::{CALL_TIMEOUT, CONNECT_TIMEOUT, Client, Error, segment};

/// What a node says of itself where it leads.
const LEADS: u64 = 1;
/// A document, and a collection, that can't be there.
const NOBODYS_ID: &str = "\u{1}";

impl Client {
    /// The node from which everything can be read that the backend took for this collection before, as a client of its own; `None` where
    /// there is no such collection.
    ///
    /// A node that has just started answers reads from an older state, also when it is healthy and takes writes: up to
    /// `healthy-write-lag` of them wait in queues of their own. A write to the same collection stands behind them in its queue, so
    /// its answer says that they are done. This one deletes a document that can't be there. Where there are several nodes it is sent to
    /// the leader, which has applied what it answers; that it led before and after means that it did meanwhile, for two elections take
    /// longer than the call may.
    ///
    /// # Errors
    ///
    /// [`Error::NoLeader`] where no node leads, or the leader changed meanwhile. The key has to be one that may ask for `/debug`.
    pub async fn caught_up(&self, collection: &str) -> Result<Option<Self>, Error> {
        let leader = self.leader().await?;
        let is_there = leader.takes_writes_to(collection).await?;
        if self.nodes.are_several() && !leader.leads().await? {
            return Err(Error::NoLeader);
        }
        Ok(is_there.then_some(leader))
    }

    /// Whether writes are taken now. Of a cluster that has no leader the health does not tell: for seconds its nodes are well, and can
    /// pass no write on.
    pub async fn takes_writes(&self) -> bool {
        self.takes_writes_to(NOBODYS_ID).await.is_ok()
    }

    /// Whether there is such a collection, asked by a write that changes nothing.
    async fn takes_writes_to(&self, collection: &str) -> Result<bool, Error> {
        let path = format!("/collections/{}/documents/{}", segment(collection), segment(NOBODYS_ID));
        let call = self.request(Method::DELETE, &path).timeout(CALL_TIMEOUT.min(self.timeout));
        match self.send(call).await {
            Err(Error::Status { status: 404, message }) => Ok(message != "Not Found"),
            answer => answer.map(|_| true),
        }
    }

    /// The node that leads, as a client of its own; the only one where there is but one.
    ///
    /// # Errors
    ///
    /// As [`Client::caught_up`]'s.
    pub async fn leader(&self) -> Result<Self, Error> {
        if !self.nodes.are_several() {
            return Ok(self.clone());
        }
        let mut asked: FuturesUnordered<_> =
            self.each_node().map(|(_, node)| async move { (node.leads().await, node) }).collect();
        let mut fault = Error::NoLeader;
        while let Some((leads, node)) = asked.next().await {
            match leads {
                Ok(true) => return Ok(node),
                // Such as that of a key which may not ask.
                Err(error @ Error::Status { status: 401 | 403, .. }) => fault = error,
                Ok(false) | Err(_) => {}
            }
        }
        Err(fault)
    }

    async fn leads(&self) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Debug {
            state: u64,
        }
        let call = self.request(Method::GET, "/debug").timeout(CONNECT_TIMEOUT.min(self.timeout));
        Ok(self.send_json::<Debug>(call).await?.state == LEADS)
    }
}
