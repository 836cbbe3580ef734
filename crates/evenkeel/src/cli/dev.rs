//! `evenkeel dev`: a cluster of node processes on this machine, until Ctrl-C.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::local::{Place, Process, TemporaryDir, on_interrupt};
use super::say;
use super::table::columns;

/// From a node's client port to its peer port.
const PEER_OFFSET: u16 = 1_000;
/// From a node's client port to its HTTP port.
const HTTP_OFFSET: u16 = 2_000;
/// The most nodes: one per letter.
const NODES_MAX: u16 = 26;
/// The highest first port: above it there is no room for the others.
const PORT_MAX: u16 = u16::MAX - HTTP_OFFSET - NODES_MAX;
/// How often it is seen whether a node has ended by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Flags of `evenkeel dev`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  evenkeel dev                         three nodes on ports 7001, 7002 and 7003, data thrown away at the end
  evenkeel dev --nodes 5 --port 6400   five nodes on ports 6400 to 6404
  evenkeel dev --dir ./my-cluster      keep the data; the same command continues with it

Each node also takes peers on its port + 1000 and HTTP on its port + 2000. EK.FAULT is allowed, so that you can cut
and slow down links and watch what happens.

Exit status: 0 stopped by Ctrl-C; 1 a node could not start or ended; 2 wrong use.")]
pub(super) struct Args {
    /// How many nodes, 1 to 26
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=i64::from(NODES_MAX)))]
    nodes: u16,
    /// The first node's port for clients; the others get the next ones
    #[arg(long, value_name = "PORT", default_value_t = 7001, value_parser = clap::value_parser!(u16).range(2..=i64::from(PORT_MAX)))]
    port: u16,
    /// Keep the data here [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs the nodes until Ctrl-C.
pub(super) fn run(args: Args) -> Result<()> {
    let temporary = args.dir.is_none().then(|| TemporaryDir::new("dev"));
    let temporary = temporary.transpose()?;
    let dir = match (&args.dir, &temporary) {
        (Some(dir), _) => dir.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => bail!("no directory"),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let (stop, stopped) = channel();
    on_interrupt(move || {
        // The receiver is gone only when everything has ended already.
        let _ = stop.send(());
    })?;
    let places = places(&args, &dir);
    check_free(&places)?;
    let mut nodes = Vec::new();
    for place in &places {
        nodes.push(Process::start(place, &places)?);
    }
    say(&welcome(&places, args.dir.is_some()))?;
    loop {
        match stopped.recv_timeout(LOOK_AGAIN) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        for (node, place) in nodes.iter_mut().zip(&places) {
            if let Some(status) = node.ended()? {
                bail!(
                    "node {} ended by itself ({status}); its log: {}",
                    place.name,
                    place.log().display()
                );
            }
        }
    }
    say("\nstopping\n")?;
    nodes.iter_mut().for_each(Process::ask_to_stop);
    for (node, place) in nodes.into_iter().zip(&places) {
        if !node.await_stop()? {
            bail!("node {} did not stop cleanly", place.name);
        }
    }
    Ok(())
}

fn places(args: &Args, dir: &std::path::Path) -> Vec<Place> {
    let at = |port: u16| format!("127.0.0.1:{port}");
    ('A'..='Z')
        .zip(args.port..)
        .take(usize::from(args.nodes))
        .map(|(name, port)| Place {
            name: name.to_string(),
            client: at(port),
            peer: at(port + PEER_OFFSET),
            http: at(if port == args.port {
                port - 1
            } else {
                port + HTTP_OFFSET
            }),
            dir: dir.join(name.to_string()),
        })
        .collect()
}

/// A port that is taken is told before anything is started.
fn check_free(places: &[Place]) -> Result<()> {
    let addresses = places
        .iter()
        .flat_map(|place| [&place.client, &place.peer, &place.http]);
    for address in addresses {
        TcpListener::bind(address)
            .with_context(|| format!("{address} is taken; choose other ports with --port"))?;
    }
    Ok(())
}

fn welcome(places: &[Place], kept: bool) -> String {
    let head = ["NODE", "CLIENTS", "HTTP", "LOG"]
        .map(str::to_owned)
        .to_vec();
    let rows = places.iter().map(|place| {
        vec![
            place.name.clone(),
            place.client.clone(),
            format!("http://{}", place.http),
            place.log().display().to_string(),
        ]
    });
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let port = |place: Option<&Place>| {
        place
            .and_then(|place| place.client.rsplit(':').next())
            .unwrap_or_default()
            .to_owned()
    };
    let (first, last) = (port(places.first()), port(places.last()));
    let end = if kept {
        "stops all; the data stays"
    } else {
        "stops all and removes the data"
    };
    format!(
        "{}\nTry, in another terminal:\n  redis-cli -p {first} SET greeting hello\n  redis-cli -p {last} GET greeting\n  evenkeel inspect greeting --node 127.0.0.1:{first}\n\nIn a browser: {}/?key=greeting\n\nCtrl-C {end}.\n",
        columns(&rows, ""),
        rows[1][2]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(nodes: u16) -> Args {
        Args {
            nodes,
            port: 7001,
            dir: None,
        }
    }

    #[test]
    fn every_node_gets_three_ports_of_its_own() {
        let places = places(&args(2), std::path::Path::new("d"));
        let of = |place: &Place| [&place.client, &place.peer, &place.http].map(String::clone);
        assert_eq!(
            of(&places[0]),
            ["127.0.0.1:7001", "127.0.0.1:8001", "127.0.0.1:7000"]
        );
        assert_eq!(
            of(&places[1]),
            ["127.0.0.1:7002", "127.0.0.1:8002", "127.0.0.1:9002"]
        );
        assert_eq!(places[1].dir, std::path::Path::new("d/B"));
    }

    #[test]
    fn the_welcome_says_how_to_connect_and_what_becomes_of_the_data() {
        let text = welcome(&places(&args(1), std::path::Path::new("d")), false);
        assert_eq!(
            text,
            "NODE  CLIENTS         HTTP                   LOG
A     127.0.0.1:7001  http://127.0.0.1:7000  d/A.log

Try, in another terminal:
  redis-cli -p 7001 SET greeting hello
  redis-cli -p 7001 GET greeting
  evenkeel inspect greeting --node 127.0.0.1:7001

In a browser: http://127.0.0.1:7000/?key=greeting

Ctrl-C stops all and removes the data.
"
        );
    }
}
