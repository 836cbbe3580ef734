//! How a node comes by its first topology: from its directory, from the cluster that lets it in, or from the list that
//! founds one.

use std::sync::Arc;

use evenkeel_core::cluster::{Cluster, Document, NodeSpec};
use evenkeel_core::id::NodeId;
use xxhash_rust::xxh3::xxh3_64;

use super::control::Saved;
use super::recovery::StartError;
use super::{Topology, control, identity};
use crate::config::Config;
use crate::link;

/// The control plane's machine of a node that starts, and what it knows. `dialled_at` is where peers are to dial it.
pub(super) fn begin(config: &Config, dialled_at: &str) -> Result<(Cluster, Topology), StartError> {
    let saved = control::saved(&config.dir).map_err(|error| {
        let file = config.dir.join(control::FILE);
        StartError::io(format!("cannot read {}", file.display()), error)
    })?;
    let restored = match saved {
        Saved::State(bytes) if !config.recover => match Cluster::restore(&bytes) {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                tracing::error!(%error, "the topology file cannot be read, the topology is learnt anew");
                None
            }
        },
        Saved::Damaged => {
            tracing::error!("the topology file is damaged, the topology is learnt anew");
            None
        }
        Saved::State(_) | Saved::Nothing => None,
    };
    let cluster = match restored {
        Some(restored) => restored,
        None => {
            let (document, me) = first(config, dialled_at)?;
            Cluster::new(me, document, crate::entropy::random())
        }
    };
    let topology = Topology::of(Arc::clone(cluster.document()), cluster.me());
    check(config, &topology)?;
    Ok((cluster, topology))
}

/// The directory and the command line must speak of the same node and cluster.
fn check(config: &Config, topology: &Topology) -> Result<(), StartError> {
    let foreign = |found: String, wanted: String| StartError::Foreign {
        dir: config.dir.clone(),
        found,
        wanted,
    };
    let name = topology.name(topology.me);
    let cluster = topology.document.cluster();
    if !name.eq_ignore_ascii_case(&config.node) {
        let found = format!("node {name} of cluster {cluster:016x}");
        let wanted = format!("node {} of cluster {cluster:016x}", config.node);
        return Err(foreign(found, wanted));
    }
    if !config.members.is_empty() && id_of(config) != cluster {
        let found = format!("node {name} of cluster {cluster:016x}");
        let wanted = format!("node {name} of cluster {:016x}", id_of(config));
        return Err(foreign(found, wanted));
    }
    Ok(())
}

/// The topology of a node that knows none: of the cluster that it enters, or of the one that it founds. A node whose
/// file was lost goes the same way; what has changed since, the others tell it.
fn first(config: &Config, dialled_at: &str) -> Result<(Document, NodeId), StartError> {
    let owner = identity::owner(&config.dir)?;
    if config.join.is_empty() {
        // Its data would lie in a cluster of its own, of which nobody else knows.
        let founded = id_of(config);
        return match owner {
            Some((node, cluster))
                if node == config.node && cluster != founded && config.members.is_empty() =>
            {
                Err(StartError::Lone {
                    dir: config.dir.clone(),
                })
            }
            _ => found(config),
        };
    }
    let spec = spec_of(config, dialled_at.to_owned());
    let cluster = owner.map(|(_, cluster)| cluster);
    link::enter(config, &spec, cluster).map_err(|error| StartError::Join(error.to_string()))
}

/// What a configuration says of its node.
pub(super) fn spec_of(config: &Config, peer: String) -> NodeSpec {
    NodeSpec {
        name: config.node.clone(),
        peer,
        zone: config.zone.clone(),
        dc: config.dc.clone(),
        weight: config.weight,
    }
}

/// The id of the cluster that a configuration founds: a hash of the list, so nodes with different lists refuse each
/// other.
fn id_of(config: &Config) -> u64 {
    let members = config.sorted_members();
    let list: Vec<String> = members.iter().map(ToString::to_string).collect();
    // A single node keeps its identity when its port changes.
    match &members[..] {
        [single] => xxh3_64(single.name.as_bytes()),
        _ => xxh3_64(list.join(",").as_bytes()),
    }
}

/// The first document of a cluster, the same on every node that is given the same list, and this node's number.
pub(super) fn found(config: &Config) -> Result<(Document, NodeId), StartError> {
    let members = config.sorted_members();
    let place = members.iter().position(|member| member.name == config.node);
    // Where the nodes stand is not in the list: each says it of itself when it runs.
    let specs: Vec<NodeSpec> = members
        .into_iter()
        .map(|member| NodeSpec {
            name: member.name,
            peer: member.peer,
            zone: String::new(),
            dc: String::new(),
            weight: NodeSpec::WEIGHT,
        })
        .collect();
    let document =
        Document::initial(&specs, id_of(config)).map_err(|error| StartError::Topology {
            dir: config.dir.clone(),
            cause: error.to_string(),
        })?;
    let me = NodeId(u32::try_from(place.unwrap_or_default()).unwrap_or(u32::MAX));
    Ok((document, me))
}
