//! Commands on sets and hashes, through sockets and several nodes.

use crate::cluster::Cluster;

#[test]
fn commands_that_are_parts_of_others_are_neither_listed_nor_run_for_clients() {
    let cluster = Cluster::start(1, &[]);
    let mut client = cluster.client(0);
    let refused = client.run("EK.STORE k SET a");
    assert!(refused.starts_with("-UNSUPPORTED EK.STORE "), "{refused}");
    assert_eq!(client.run("EXISTS k"), "0");
    assert!(!client.list("COMMAND LIST").contains(&"ek.store".to_owned()));
    let count = client.run("COMMAND COUNT").parse::<usize>();
    assert_eq!(count, Ok(client.list("COMMAND").len()));
    assert_eq!(client.list("COMMAND DOCS ek.store"), [""; 0]);
}
