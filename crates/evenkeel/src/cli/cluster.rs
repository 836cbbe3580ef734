//! `evenkeel cluster`: who belongs to the cluster, who holds what, and changing it: plan, preview, commit.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Subcommand;
use evenkeel_resp::Reply;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::table::columns;
use super::talk::{Dig as _, Talk};
use super::{NodeArg, say};

/// How often a change that is under way is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Flags of `evenkeel cluster`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel cluster status                            nodes, voters, how safe the data is, what is moving
  evenkeel serve --node D --join 10.0.0.1:6380       (on the new machine) a new node enters; then, anywhere:
  evenkeel cluster join D                            watch it get its share of the data
  evenkeel cluster plan                              what a rebalance would move, and how safe the data is before and after
  evenkeel cluster apply                             do it
  evenkeel cluster drain B                           move everything away from B, then B can be stopped and forgotten
  evenkeel cluster replace C E                       C is lost or old: E, a new node without data, takes all its places
  evenkeel cluster forget C                          C never comes back; refused while only C holds some data

No request fails meanwhile, and nothing is dropped before the others hold it on their disks. A node that is lost for
good: start a new one with --join, then `cluster replace OLD NEW`, then `cluster forget OLD`.

Exit status: 0 done; 1 refused, or the node did not answer; 2 wrong use.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the nodes, the voters, how safe the data is and what is moving
    Status {
        #[command(flatten)]
        common: Common,
    },
    /// Show what a rebalance would move, and how safe the data is before and after
    Plan {
        #[command(flatten)]
        common: Common,
    },
    /// Move data as `plan` shows
    Apply {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        follow: Follow,
    },
    /// Watch a node that was started with `serve --join` get its share of the data
    Join {
        /// The new node's name
        name: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        follow: Follow,
    },
    /// Move all data away from a node
    Drain {
        /// The node's name
        name: String,
        /// Take it back: the node keeps its data
        #[arg(long)]
        cancel: bool,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        follow: Follow,
    },
    /// Let a new node without data take all places of another one, lost or not
    Replace {
        /// Who goes
        old: String,
        /// Who comes
        new: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        follow: Follow,
    },
    /// Remove a node for good: one that was drained, or one that is lost
    Forget {
        /// The node's name
        name: String,
        /// Also when no other node holds all of its data: what only it held is lost
        #[arg(long)]
        accept_loss: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Change a setting of the whole cluster
    Set {
        /// auto-rebalance (yes or no: move data by itself when nodes come) or replicas (how many each datacentre has)
        setting: String,
        /// Its value
        value: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    node: NodeArg,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Follow {
    /// Return as soon as the change is agreed; the data goes on moving by itself
    #[arg(long)]
    no_wait: bool,
    /// Give up watching after so many seconds; the data goes on moving by itself
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
}

/// Asks, changes, shows.
pub(super) fn run(args: &Args) -> Result<()> {
    match &args.command {
        Command::Status { common } => show(common, &["EK.TOPOLOGY"], status),
        Command::Plan { common } => show(common, &["EK.TOPOLOGY", "PLAN"], planned),
        Command::Apply { common, follow } => {
            change(common, &["APPLY"])?;
            common.follow(follow, "moving", is_at_rest)
        }
        Command::Join {
            name,
            common,
            follow,
        } => common.follow(follow, "joining", |topology| {
            node_of(topology, name).is_some() && is_at_rest(topology)
        }),
        Command::Drain {
            name,
            cancel: true,
            common,
            follow,
        } => {
            change(common, &["CANCEL", name])?;
            common.follow(follow, "moving", is_at_rest)
        }
        Command::Drain {
            name,
            cancel: false,
            common,
            follow,
        } => {
            change(common, &["DRAIN", name])?;
            common.follow(follow, "draining", |topology| {
                node_of(topology, name).is_none_or(holds_nothing)
            })
        }
        Command::Replace {
            old,
            new,
            common,
            follow,
        } => replace((old, new), common, follow),
        Command::Forget {
            name,
            accept_loss,
            common,
        } => {
            let mut words = vec!["FORGET", name];
            if *accept_loss {
                words.push("ACCEPT-LOSS");
            }
            change(common, &words)?;
            show(common, &["EK.TOPOLOGY"], status)
        }
        Command::Set {
            setting,
            value,
            common,
        } => {
            change(common, &["SET", setting, value])?;
            show(common, &["EK.TOPOLOGY"], status)
        }
    }
}

fn replace((old, new): (&str, &str), common: &Common, follow: &Follow) -> Result<()> {
    change(common, &["REPLACE", old, new])?;
    let topology = Talk::open(&common.node.node)?.run(&["EK.TOPOLOGY"])?;
    let answers = node_of(&topology, old).is_none_or(|node| node.field("linked").is_true());
    if !answers && !common.json {
        // Who joins must hear of every member what it holds, and this one says nothing any more.
        return say(&format!(
            "{old} does not answer, so nobody can take over from it. If it never comes back: evenkeel cluster forget {old}\n"
        ));
    }
    common.follow(follow, "replacing", |topology| {
        node_of(topology, old).is_none_or(holds_nothing)
    })
}

fn change(common: &Common, words: &[&str]) -> Result<()> {
    let mut command = vec!["EK.TOPOLOGY"];
    command.extend(words);
    Talk::open(&common.node.node)?.run(&command)?;
    Ok(())
}

fn show(common: &Common, command: &[&str], render: fn(&Reply) -> String) -> Result<()> {
    let reply = Talk::open(&common.node.node)?.run(command)?;
    if common.json {
        return say(&format!("{}\n", evenkeel::json::to_json(&reply)));
    }
    say(&render(&reply))
}

impl Common {
    /// Watches the topology until it is as wanted, then shows it.
    fn follow(
        &self,
        follow: &Follow,
        what: &'static str,
        done: impl Fn(&Reply) -> bool,
    ) -> Result<()> {
        if follow.no_wait {
            return show(self, &["EK.TOPOLOGY"], status);
        }
        let until = Instant::now() + Duration::from_secs(follow.timeout);
        let bar = progress_bar(what, self.json);
        let mut most = 0;
        loop {
            // A node that is asked while it restarts is asked again.
            let asked = Talk::open(&self.node.node).and_then(|mut talk| talk.run(&["EK.TOPOLOGY"]));
            if let Ok(topology) = &asked {
                if done(topology) {
                    bar.finish_and_clear();
                    return show(self, &["EK.TOPOLOGY"], status);
                }
                let left = left(topology);
                most = most.max(left);
                bar.set_length(most);
                bar.set_position(most - left);
            }
            if Instant::now() >= until {
                bar.abandon();
                asked?;
                bail!(
                    "UNMET it is still {what} after {} s; it goes on by itself, see evenkeel cluster status",
                    follow.timeout
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(what: &'static str, json: bool) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() && !json {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(0), target).with_message(what);
    match ProgressStyle::with_template("{msg} {bar:40} {pos} of {len} replicas, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn number(reply: &Reply, field: &str) -> u64 {
    let number = reply.field(field).number();
    number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// Memberships that have still to change.
fn left(topology: &Reply) -> u64 {
    number(topology, "planned").max(number(topology, "joining")) + number(topology, "leaving")
}

fn is_settled(topology: &Reply) -> bool {
    topology.field("settled").is_true()
}

/// Whether nothing moves, and nothing will by itself.
fn is_at_rest(topology: &Reply) -> bool {
    let waits_for_a_word = !topology.field("auto-rebalance").is_true() && left(topology) == 0;
    is_settled(topology) || waits_for_a_word
}

fn node_of<'a>(topology: &'a Reply, name: &str) -> Option<&'a Reply> {
    let mut nodes = topology.field("nodes").items().iter();
    nodes.find(|node| {
        let named = node.field("name").text();
        named.is_some_and(|named| named.eq_ignore_ascii_case(name))
    })
}

fn holds_nothing(node: &Reply) -> bool {
    let held = ["partitions", "joining", "leaving"];
    held.iter().all(|field| number(node, field) == 0)
}

fn words(reply: &Reply, field: &str) -> String {
    match reply.field(field).text() {
        Some(text) if !text.is_empty() => text,
        _ => "-".to_owned(),
    }
}

/// The nodes as a table, and what holds for all of them in sentences.
fn status(topology: &Reply) -> String {
    let head = [
        "NODE", "STATE", "LINK", "VOTER", "DC", "ZONE", "WEIGHT", "HOLDS", "JOINING", "LEAVING",
        "CLIENTS", "PEERS",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let me = topology.field("me").text();
    for node in topology.field("nodes").items() {
        let is_me = node.field("name").text() == me;
        let link = match (is_me, node.field("linked").is_true()) {
            (true, _) => "asked",
            (false, true) => "up",
            (false, false) => "DOWN",
        };
        let voter = if node.field("voter").is_true() {
            "yes"
        } else {
            "-"
        };
        let mut row = vec![
            words(node, "name"),
            words(node, "state"),
            link.to_owned(),
            voter.to_owned(),
        ];
        row.extend(
            [
                "dc",
                "zone",
                "weight",
                "partitions",
                "joining",
                "leaving",
                "client",
                "peer",
            ]
            .map(|field| words(node, field)),
        );
        rows.push(row);
    }
    format!("{}\n{}", columns(&rows, ""), sentences(topology))
}

fn sentences(topology: &Reply) -> String {
    let (least, wanted) = (
        number(topology, "fewest-replicas"),
        number(topology, "replicas"),
    );
    let mut out = format!(
        "Cluster {}, epoch {}: {} partitions, {wanted} replicas of each wanted, at least {least} everywhere.\n",
        words(topology, "cluster"),
        number(topology, "epoch"),
        number(topology, "partitions"),
    );
    let (joining, leaving) = (number(topology, "joining"), number(topology, "leaving"));
    let planned = number(topology, "planned");
    if joining + leaving + planned > 0 {
        out.push_str(&format!(
            "Moving: {planned} replicas to be made, {joining} of them now; {leaving} handed over. Reads and writes go on.\n"
        ));
    } else if is_settled(topology) {
        out.push_str("Nothing moves: every replica is where it should be.\n");
    } else {
        let auto = topology.field("auto-rebalance").is_true();
        out.push_str(match auto {
            true => "The data does not lie as it should yet: a rebalance begins by itself.\n",
            false => {
                "The data does not lie as it should: see `evenkeel cluster plan`, then `apply`.\n"
            }
        });
    }
    let down: Vec<String> = topology
        .field("nodes")
        .items()
        .iter()
        .filter(|node| node.field("name").text() != topology.field("me").text())
        .filter(|node| !node.field("linked").is_true() && !holds_nothing(node))
        .filter_map(|node| node.field("name").text())
        .collect();
    if joining + leaving > 0 && !down.is_empty() {
        out.push_str(&format!(
            "What moves waits where {} holds data, for it does not answer: start it, or `evenkeel cluster forget` it if it is lost.\n",
            down.join(" or ")
        ));
    }
    let voters: Vec<String> = topology
        .field("voters")
        .items()
        .iter()
        .filter_map(Reply::text)
        .collect();
    out.push_str(&format!(
        "Topology changes are agreed by {} ({}), led by {}.\n",
        if voters.len() == 1 {
            "1 voter".to_owned()
        } else {
            format!("{} voters", voters.len())
        },
        voters.join(", "),
        topology
            .field("leader")
            .text()
            .unwrap_or_else(|| "nobody".to_owned()),
    ));
    if !topology.field("can-change").is_true() {
        out.push_str(
            "NOQUORUM: too few voters answer the node that was asked, so no topology change can be agreed now.\nReads and writes are not affected. Start the voters again, or heal the network between them.\n",
        );
    }
    out
}

/// What a rebalance would move.
fn planned(plan: &Reply) -> String {
    let moves = plan.field("moves").items();
    if moves.is_empty() {
        return "Nothing to move: every replica is where it should be.\n".to_owned();
    }
    let head = ["FROM", "TO", "REPLICAS", "BYTES"]
        .map(str::to_owned)
        .to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(head)
        .chain(moves.iter().map(|row| {
            ["from", "to", "replicas", "bytes"]
                .map(|field| words(row, field))
                .to_vec()
        }))
        .collect();
    let safety = |field: &str| {
        let safety = plan.field(field);
        format!(
            "at least {} replicas in {} zones",
            number(safety, "replicas"),
            number(safety, "zones"),
        )
    };
    format!(
        "{}\n{} replicas, {} in all.\nBefore: {}; fullest node {} of an even share.\nAfter:  {}; fullest node {} of an even share.\nMove it with `evenkeel cluster apply`.\n",
        columns(&rows, ""),
        number(plan, "replicas"),
        match plan.field("bytes").text() {
            Some(bytes) => format!("{bytes} bytes"),
            None => "an unknown number of bytes (ask a node that holds data)".to_owned(),
        },
        safety("before"),
        words(plan.field("before"), "fullest"),
        safety("after"),
        words(plan.field("after"), "fullest"),
    )
}
