//! Where the HTTP face hands in commands: they run on the node's own thread, as a client's would.
//!
//! Handlers may be moved between threads by their type, commands may not: a channel lies between the two.

use std::sync::Arc;

use bytes::Bytes;
use evenkeel_resp::Reply;
use tokio::sync::{mpsc, oneshot};

use crate::client::run_once;
use crate::node::Node;

/// Commands that may wait to be begun. More: the caller waits.
const WAITING_MAX: usize = 64;

/// A command, the token it is to run behind, and where its reply and token go.
type Order = (Vec<Bytes>, Option<String>, oneshot::Sender<(Reply, String)>);

/// Takes commands.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<Order>);

/// Begins to take commands, each a task of its own.
pub(super) fn open(node: Arc<Node>) -> Desk {
    let (desk, mut orders) = mpsc::channel::<Order>(WAITING_MAX);
    tokio::task::spawn_local(async move {
        while let Some((args, after, tell)) = orders.recv().await {
            let node = Arc::clone(&node);
            tokio::task::spawn_local(async move {
                // Whoever asked may be gone.
                let after = after.as_deref().map(str::as_bytes);
                let _ = tell.send(run_once(&node, &args, after).await);
            });
        }
    });
    Desk(desk)
}

impl Desk {
    /// Runs a command and waits for its reply.
    pub(super) async fn run(&self, args: Vec<Bytes>) -> Reply {
        self.run_after(args, None).await.0
    }

    /// The same behind what a token stands for; gives a token as well.
    pub(super) async fn run_after(
        &self,
        args: Vec<Bytes>,
        after: Option<String>,
    ) -> (Reply, String) {
        let (tell, told) = oneshot::channel();
        let nothing = || (stopping(), String::new());
        if self.0.send((args, after, tell)).await.is_err() {
            return nothing();
        }
        told.await.unwrap_or_else(|_| nothing())
    }
}

fn stopping() -> Reply {
    Reply::error("ERR the node is stopping ; ask another one")
}
