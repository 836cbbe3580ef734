//! Places on earth, kept in sorted sets whose scores are their numbers.
//!
//! A place merges as the score that it is: the newest of concurrent ones holds, and so each replica finds the same.

mod hash;
mod places;
mod search;
mod shape;

use places::{geoadd, geodist, geohash, geopos};
use search::{Form, Storing, Words, ek_geo, georadius, geosearchstore, search};

use super::keyspace::Keyspace;
use super::spec::{Conditional, Flag, Group, KeySpec, Run, Spec};
use super::{Args, Outcome, reply};

const NEWEST: &str =
    "As ZADD: the newest place of a member holds; a removal takes away only what it saw.";
const STORED: &str = "Replaces what it saw of the destination; members added there meanwhile stay.";

/// A search that stores nothing.
fn find(keys: &mut Keyspace<'_>, args: Args<'_>, form: Form) -> Outcome {
    let words = Words {
        name: args[0],
        rest: &args[2..],
    };
    search(keys, args[1], words, (form, Storing::Never))
}

/// This family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec::new(
        "geoadd",
        -5,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(geoadd(keys, args))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.0",
        "O(log(N)) for each item added, where N is the number of elements in the sorted set",
        "Add one or more geospatial items in the geospatial index represented using a sorted set",
    )
    .merges(NEWEST)
    .conditional(Conditional::With(2, &["NX", "XX"])),
    Spec::new(
        "geopos",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(geopos(keys, args))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.0",
        "O(N) where N is the number of members requested",
        "Returns longitude and latitude of members of a geospatial index",
    ),
    Spec::new(
        "geodist",
        -4,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(geodist(keys, args))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.0",
        "O(log(N))",
        "Returns the distance between two members of a geospatial index",
    ),
    Spec::new(
        "geohash",
        -2,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(geohash(keys, args))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.0",
        "O(log(N)) for each member requested",
        "Returns members of a geospatial index as standard geohash strings",
    ),
    Spec::new(
        "geosearch",
        -7,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(find(keys, args, Form::Search))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "6.2.0",
        "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
        "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle",
    ),
    Spec::new(
        "georadius_ro",
        -6,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(find(keys, args, Form::Radius))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.10",
        "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index",
        "A read-only variant for GEORADIUS",
    ),
    Spec::new(
        "georadiusbymember_ro",
        -5,
        &[Flag::Readonly],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(find(keys, args, Form::RadiusByMember))),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.10",
        "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index",
        "A read-only variant for GEORADIUSBYMEMBER",
    ),
    Spec::new(
        "georadius",
        -6,
        &[Flag::Write, Flag::Denyoom, Flag::Movablekeys],
        KeySpec::one_and_behind(6, &["STORE", "STOREDIST"]),
        Run::Rounds(georadius),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.0",
        "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index",
        "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a point",
    )
    .merges(STORED),
    Spec::new(
        "georadiusbymember",
        -5,
        &[Flag::Write, Flag::Denyoom, Flag::Movablekeys],
        KeySpec::one_and_behind(5, &["STORE", "STOREDIST"]),
        Run::Rounds(georadius),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "3.2.0",
        "O(N+log(M)) where N is the number of elements inside the bounding box of the circular area delimited by center and radius and M is the number of items inside the index",
        "Query a sorted set representing a geospatial index to fetch members matching a given maximum distance from a member",
    )
    .merges(STORED),
    Spec::new(
        "geosearchstore",
        -8,
        &[Flag::Write, Flag::Denyoom],
        KeySpec::TWO,
        Run::Rounds(geosearchstore),
    )
    .in_group(Group::Geo, &["geo"])
    .docs(
        "6.2.0",
        "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
        "Query a sorted set representing a geospatial index to fetch members inside an area of a box or a circle, and store the result in another key",
    )
    .merges(STORED),
    Spec::new(
        "ek.geo",
        -3,
        &[Flag::Readonly, Flag::Inner],
        KeySpec::ONE,
        Run::OnKey(|keys, args| reply(ek_geo(keys, args))),
    )
    .in_group(Group::Evenkeel, &[])
    .docs(
        "0.1.0",
        "O(N+log(M)) as the search that it runs",
        "A search whose result may be stored; what GEOSEARCHSTORE and GEORADIUS send between nodes",
    ),
];
