//! GEO commands.

use super::*;

/// A replica that knows two towns in Sicily.
fn sicily() -> Node {
    let mut node = Node::alone();
    let added = node.run("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
    assert_eq!(added, "2");
    node
}

#[test]
fn places_are_kept_as_scores_and_read_back() {
    sicily().check(&[
        ("ZSCORE g Palermo", "3479099956230698"),
        (
            "GEOPOS g Palermo none",
            "[[13.36138933897018433 38.11555639549629859] NullArray]",
        ),
        (
            "GEOHASH g Palermo Catania none",
            "['sqc8b49rny0' 'sqdtr74hyu0' nil]",
        ),
        ("GEODIST g Palermo Catania", "'166274.1516'"),
        ("GEODIST g Palermo Catania KM", "'166.2742'"),
        ("GEODIST g Palermo Palermo", "'0.0000'"),
        ("GEODIST g Palermo none", "nil"),
        ("GEODIST none a b", "nil"),
        (
            "GEODIST g Palermo Catania x",
            "ERR unsupported unit provided. please use M, KM, FT, MI",
        ),
        ("GEOADD g XX CH 13.5 38 Palermo 1 1 none", "1"),
        ("GEOADD g NX 1 1 Palermo", "0"),
        (
            "GEOADD g 1 1",
            "ERR wrong number of arguments for 'geoadd' command",
        ),
        ("GEOADD g NX XX 1 1 a", "ERR syntax error"),
        ("GEOADD g 1 1 a 2", "ERR syntax error"),
        ("GEOADD g x 1 a", "ERR value is not a valid float"),
        (
            "GEOADD g 200 100 a",
            "ERR invalid longitude,latitude pair 200.000000,100.000000",
        ),
        ("ZCARD g", "2"),
    ]);
}

#[test]
fn searches_find_what_is_within_a_circle_or_a_box() {
    let mut node = sicily();
    node.run("GEOADD g 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
    node.check(&[
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC",
            "['Catania' 'Palermo']",
        ),
        (
            "GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHCOORD WITHDIST COUNT 2",
            "[['Catania' '56.4413' [15.08726745843887329 37.50266842333162032]] \
              ['Palermo' '190.4424' [13.36138933897018433 38.11555639549629859]]]",
        ),
        (
            "GEOSEARCH g FROMMEMBER Palermo BYRADIUS 1 m WITHHASH",
            "[['Palermo' 3479099956230698]]",
        ),
        (
            "GEORADIUS g 15 37 200 km WITHDIST DESC",
            "[['Palermo' '190.4424'] ['Catania' '56.4413']]",
        ),
        ("GEORADIUS_RO g 15 37 100 km", "['Catania']"),
        (
            "GEORADIUSBYMEMBER g Palermo 200 km ASC COUNT 1",
            "['Palermo']",
        ),
        ("GEORADIUSBYMEMBER_RO g Catania 10 km", "['Catania']"),
        ("GEOSEARCH none FROMMEMBER a BYRADIUS 1 m", "[]"),
        ("GEORADIUS none 1 1 1 m STORE dst", "0"),
        ("GEORADIUSBYMEMBER none m x km", "[]"),
        ("GEORADIUSBYMEMBER none m x km STORE dst", "0"),
        (
            "GEORADIUSBYMEMBER g none x km",
            "ERR could not decode requested zset member",
        ),
    ]);
}

#[test]
fn searches_are_stored_with_numbers_or_distances() {
    let mut node = sicily();
    node.run("SET dst old");
    node.check(&[
        ("GEOSEARCHSTORE dst g FROMLONLAT 15 37 BYRADIUS 200 km", "2"),
        ("ZSCORE dst Palermo", "3479099956230698"),
        (
            "GEOSEARCHSTORE dst g FROMLONLAT 15 37 BYRADIUS 200 km COUNT 1 STOREDIST",
            "1",
        ),
        (
            "ZRANGE dst 0 -1 WITHSCORES",
            "[['Catania' 56.441257870158204]]",
        ),
        ("GEORADIUS g 15 37 200 km STORE dst", "2"),
        ("GEORADIUSBYMEMBER g Catania 1 km STOREDIST dst", "1"),
        ("ZRANGE dst 0 -1 WITHSCORES", "[['Catania' 0]]"),
        ("GEORADIUS g 0 0 1 m STORE dst", "0"),
        ("EXISTS dst", "0"),
    ]);
}

#[test]
fn wrong_searches_are_refused() {
    let mut node = sicily();
    node.run("SET s v");
    node.check(&[
        ("GEOSEARCH g FROMLONLAT 1 1 ASC DESC ASC", "ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH"),
        ("GEOSEARCH g BYRADIUS 1 m ASC ASC ASC", "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH"),
        ("GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER a BYRADIUS 1 m", "ERR syntax error"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m ANY", "ERR the ANY argument requires COUNT argument"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0", "ERR COUNT must be > 0"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m STOREDIST", "ERR syntax error"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS x m", "ERR need numeric radius"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS -1 m", "ERR radius cannot be negative"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYBOX 1 -1 m", "ERR height or width cannot be negative"),
        ("GEOSEARCH g FROMMEMBER none BYRADIUS 1 m", "ERR could not decode requested zset member"),
        ("GEORADIUS_RO g 1 1 1 m STORE dst", "ERR syntax error"),
        ("GEORADIUS g 1 1 1 m WITHDIST STORE dst", "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"),
        ("GEOSEARCHSTORE dst g FROMLONLAT 1 1 BYRADIUS 1 m WITHDIST", "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"),
        ("GEORADIUS s 1 1 1 m", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn of_concurrent_places_of_a_member_the_newest_is_found_everywhere() {
    let mut pair = Pair::after(&["GEOADD g 1 1 m"]);
    pair.b.pass(1);
    pair.a.run("GEOADD g 10 10 m");
    pair.b.run("GEOADD g 20 20 m");
    pair.agree(&[
        ("GEOSEARCH g FROMLONLAT 20 20 BYRADIUS 1 km ASC", "['m']"),
        ("GEOSEARCH g FROMLONLAT 10 10 BYRADIUS 1 km ASC", "[]"),
    ]);
}

mod searching {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_search_finds_exactly_the_places_whose_distance_is_within(
            places in proptest::collection::vec((-180.0..180.0_f64, -85.0..85.0_f64), 1..60),
            centre in (-170.0..170.0_f64, -60.0..60.0_f64),
            radius in prop_oneof![1.0..1000.0_f64, 1000.0..5000.0_f64],
        ) {
            let mut node = Node::alone();
            node.run(&format!("GEOADD g {} {} centre", centre.0, centre.1));
            for (at, (longitude, latitude)) in places.iter().enumerate() {
                node.run(&format!("GEOADD g {longitude} {latitude} m{at}"));
            }
            let found = node.run(&format!("GEOSEARCH g FROMMEMBER centre BYRADIUS {radius} km"));
            for (at, place) in places.iter().enumerate() {
                let distance = node.run(&format!("GEODIST g centre m{at} km"));
                let distance: f64 = distance.trim_matches('\'').parse().unwrap();
                let name = format!("'m{at}'");
                let is_found = found.trim_matches(['[', ']']).split(' ').any(|word| word == name);
                // Shapes that reach over the date line are searched on one side of it, as Redis does.
                let reaches_over = (place.0 - centre.0).abs() > 180.0;
                prop_assert!(
                    is_found == (distance <= radius) || reaches_over || (distance - radius).abs() < 0.01,
                    "{} at {:?}, {} km", name, place, distance
                );
            }
        }
    }
}
