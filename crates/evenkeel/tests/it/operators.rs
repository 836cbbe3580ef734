//! What operators and tools ask a node: who is connected, what is set, what was slow.

use std::time::Duration;

use crate::client::{Client, show};
use crate::cluster::Cluster;
use crate::support::eventually;

const LIMIT: Duration = Duration::from_secs(15);

#[test]
fn a_client_is_listed_with_what_it_told_and_can_be_closed_by_each_filter() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    for filter in ["ID", "ADDR", "TYPE"] {
        let mut other = cluster.client(0);
        assert_eq!(other.run("CLIENT SETNAME other"), "OK");
        let id = other.run("CLIENT ID");
        let address = other.stream.local_addr().unwrap().to_string();
        other.send(&["SUBSCRIBE", "news"]).unwrap();
        other.receive().unwrap();
        let listed = client.run(&format!("CLIENT LIST ID {id}"));
        for fact in [
            " name=other ",
            " flags=P ",
            " sub=1 ",
            " cmd=subscribe ",
            &address,
        ] {
            assert!(listed.contains(fact), "{fact} is not in {listed}");
        }
        assert_eq!(client.run("CLIENT LIST TYPE pubsub"), listed);
        let value = match filter {
            "ID" => id,
            "ADDR" => address,
            _ => "pubsub".to_owned(),
        };
        assert_eq!(client.run(&format!("CLIENT KILL {filter} {value}")), "1");
        assert!(other.is_closed());
        assert_eq!(client.run("PUBSUB NUMSUB news"), "[news 0]");
    }
    assert_eq!(client.run("CLIENT KILL 127.0.0.1:1"), "-ERR No such client");
    assert_eq!(
        client.run("CLIENT NOSUCH"),
        "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."
    );
    assert_eq!(client.run("CLIENT KILL SKIPME no ID 1000000"), "0");
}

#[test]
fn a_pause_holds_writes_back_and_reads_not() {
    let cluster = Cluster::start(1, &[]);
    let mut operator = cluster.client(0);
    let mut writer = cluster.client(0);
    let mut reader = cluster.client(0);
    assert_eq!(operator.run("CLIENT PAUSE 60000 WRITE"), "OK");
    writer.send(&["SET", "k", "v"]).unwrap();
    eventually(LIMIT, "the writer waits", || {
        operator
            .run("INFO clients")
            .contains("blocked_clients:1")
            .then_some(())
    });
    assert_eq!(reader.run("GET k"), "(nil)");
    assert_eq!(operator.run("CLIENT UNPAUSE"), "OK");
    assert_eq!(writer.receive().map(|reply| show(&reply)).unwrap(), "OK");
    assert_eq!(reader.run("GET k"), "v");
}

#[test]
fn what_config_sets_is_of_one_node_and_takes_effect() {
    let cluster = Cluster::start(2, &[]);
    let mut client = cluster.client(0);
    assert_eq!(
        client.run("CONFIG SET maxclients 1000 slowlog-log-slower-than 0 slowlog-max-len 2"),
        "OK"
    );
    for _ in 0..5 {
        client.run("PING");
    }
    assert_eq!(client.run("SLOWLOG LEN"), "2");
    assert_eq!(client.run("CONFIG GET maxclients"), "[maxclients 1000]");
    assert_eq!(
        cluster.run(1, "CONFIG GET maxclients"),
        "[maxclients 10000]"
    );
    assert_eq!(
        client.run("CONFIG SET maxmemory 1 nosuch 2"),
        "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'"
    );
    assert_eq!(client.run("CONFIG GET maxmemory"), "[maxmemory 0]");
    assert_eq!(client.run("CONFIG SET maxclients 1"), "OK");
    let mut refused = cluster.client(0);
    let refusal = refused.receive().map(|reply| show(&reply)).unwrap();
    assert_eq!(refusal, "-ERR max number of clients reached");
}

#[test]
fn an_idle_client_is_closed_and_a_subscriber_is_not() {
    let cluster = Cluster::start(1, &[]);
    let mut listener = cluster.client(0);
    listener.send(&["SUBSCRIBE", "news"]).unwrap();
    listener.receive().unwrap();
    let mut idle = cluster.client(0);
    assert_eq!(idle.run("CONFIG SET timeout 1"), "OK");
    assert!(idle.is_closed());
    assert_eq!(cluster.run(0, "PUBLISH news x"), "1");
    assert_eq!(show(&listener.receive().unwrap()), "[message news x]");
}

#[test]
fn commands_and_errors_are_counted_until_they_are_reset() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    client.run("CONFIG RESETSTAT");
    client.run("SET k v");
    client.run("SET k w");
    client.run("SET k");
    client.run("LPUSH k x");
    client.run("MULTI");
    client.run("INCR n");
    client.run("EXEC");
    let stats = client.run("INFO commandstats errorstats");
    for fact in [
        "cmdstat_set:calls=2,",
        "rejected_calls=1,failed_calls=0",
        "cmdstat_lpush:calls=1,",
        "rejected_calls=0,failed_calls=1",
        "cmdstat_incr:calls=1,",
        "cmdstat_config|resetstat:calls=1,",
        "errorstat_ERR:count=1",
        "errorstat_WRONGTYPE:count=1",
    ] {
        assert!(stats.contains(fact), "{fact} is not in\n{stats}");
    }
    client.run("CONFIG RESETSTAT");
    assert!(!client.run("INFO commandstats").contains("cmdstat_set"));
    assert!(!client.run("INFO errorstats").contains("errorstat"));
}

#[test]
fn monitor_shows_what_others_run_without_their_secrets() {
    let cluster = Cluster::start(1, &[]);
    let mut monitor = cluster.client(0);
    assert_eq!(monitor.run("MONITOR"), "OK");
    let mut client = cluster.client(0);
    client.run("SET k v");
    client.run("AUTH user secret");
    client.run("CONFIG GET port");
    client.run("GET k");
    let mut next = || show(&monitor.receive().unwrap());
    assert!(next().ends_with("] \"SET\" \"k\" \"v\""));
    assert!(next().ends_with("] \"AUTH\" \"(redacted)\" \"(redacted)\""));
    assert!(next().ends_with("] \"GET\" \"k\""));
}

#[test]
fn changes_since_the_start_are_counted_by_what_has_changed() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    let mut changes = |command: &str| {
        client.run(command);
        let info = client.run("INFO persistence");
        let field = "rdb_changes_since_last_save:";
        let count = info.lines().find_map(|line| line.strip_prefix(field));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let start = changes("PING");
    for (command, more) in [
        ("SETBIT k 0 1", 1),
        ("SETBIT k 0 1", 1),
        ("SADD s a b c", 4),
        ("SET t v", 5),
        ("GET t", 5),
    ] {
        assert_eq!(changes(command) - start, more, "after {command}");
    }
}

#[test]
fn keyspace_notifications_are_refused_and_not_silently_left_out() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    let refusal = client.run("CONFIG SET notify-keyspace-events KEA");
    assert!(
        refusal.contains("keyspace notifications are not available"),
        "{refusal}"
    );
    assert_eq!(
        client.raw(&["CONFIG", "SET", "notify-keyspace-events", ""]),
        evenkeel_resp::Reply::simple("OK")
    );
}

#[test]
fn memory_is_told_of_a_key_wherever_it_lives() {
    let cluster = Cluster::start(4, &[]);
    let mut client = cluster.client(0);
    for number in 0..20 {
        let key = format!("k{number}");
        client.run(&format!("SET {key} 0123456789"));
        let used: u64 = client.run(&format!("MEMORY USAGE {key}")).parse().unwrap();
        assert!((10..1000).contains(&used), "{key} takes {used}");
    }
    assert_eq!(client.run("MEMORY USAGE none"), "(nil)");
    assert_eq!(
        client.run("MEMORY USAGE k1 SAMPLES x"),
        "-ERR value is not an integer or out of range"
    );
    client.run("MULTI");
    client.run("MEMORY USAGE none");
    assert_eq!(client.run("EXEC"), "[(nil)]");
}

#[test]
fn monitor_shows_exec_behind_what_runs_in_it_wherever_it_runs() {
    let cluster = Cluster::start(3, &[]);
    let mut monitor = cluster.client(0);
    assert_eq!(monitor.run("MONITOR"), "OK");
    let mut client = cluster.client(0);
    // Keys of several partitions, so of several homes.
    for key in ["a", "b", "c", "d"] {
        client.run("MULTI");
        client.run(&format!("SET {key} v"));
        client.run("exec");
        for end in ["\"MULTI\"", &format!("\"SET\" \"{key}\" \"v\""), "\"exec\""] {
            let line = show(&monitor.receive().unwrap());
            assert!(line.ends_with(end), "{end} is not at the end of {line}");
        }
    }
}

#[test]
fn a_database_above_0_is_refused() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    assert_eq!(client.run("SELECT 0"), "OK");
    let refusal = client.run("SELECT 1");
    assert!(
        refusal.starts_with("-UNSUPPORTED SELECT, DB index is out of range"),
        "{refusal}"
    );
    assert_eq!(
        client.run("SELECT x"),
        "-ERR value is not an integer or out of range"
    );
}

#[test]
fn shutdown_ends_the_node_cleanly() {
    let mut cluster = Cluster::start(1, &[]);
    cluster.run(0, "SET k v");
    let mut client: Client = cluster.client(0);
    client.send(&["SHUTDOWN", "NOSAVE"]).unwrap();
    assert!(client.is_closed());
    assert!(cluster.nodes[0].ended().success());
    cluster.restart(0);
    assert_eq!(cluster.run(0, "GET k"), "v");
}
