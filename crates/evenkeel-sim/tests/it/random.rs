//! Random runs: a few seeds in every test run, many more by `cargo sim run`.

use evenkeel_sim::{Fault, FaultSet, Limits, Options, run_seed};

#[test]
fn twenty_seeds_violate_nothing() {
    let mut total = 0;
    for seed in 1..=20 {
        let outcome = run_seed(&Options::seed(seed));
        assert_eq!(outcome.failure, None, "cargo sim replay --seed {seed}");
        // Clients of a seed send at least 300, all before the faults end. Lost are those that find no node awake: a
        // burst or two of up to 64, in a seed that is unlucky.
        let operations = outcome.totals.operations;
        assert!(
            operations >= 250,
            "seed {seed} did only {operations} operations"
        );
        total += operations;
    }
    assert!(
        total >= 20 * 300,
        "twenty seeds did only {total} operations"
    );
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in [3, 1 << 40] {
        let options = Options {
            whole_frames: true,
            ..Options::seed(seed)
        };
        let (once, again) = (run_seed(&options), run_seed(&options));
        assert_eq!(once.hash, again.hash);
        assert_eq!(once.totals, again.totals);
        assert_eq!(once.coverage, again.coverage);
    }
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(
        run_seed(&Options::seed(1)).hash,
        run_seed(&Options::seed(2)).hash
    );
}

#[test]
fn a_run_without_faults_has_none_and_converges() {
    let mut without = FaultSet::default();
    Fault::ALL.iter().for_each(|fault| without.insert(*fault));
    let outcome = run_seed(&Options {
        limits: Limits {
            without,
            nodes: Some(3),
            operations: Some(50),
            hops: 0,
        },
        ..Options::seed(11)
    });
    assert_eq!(outcome.failure, None);
    assert!(outcome.coverage.faults().all(|(_, count)| count == 0));
    assert_eq!(outcome.totals.crashes, 0);
}

#[test]
fn a_trace_names_nodes_events_and_effects() {
    let outcome = run_seed(&Options {
        trace: true,
        until: Some(400),
        ..Options::seed(4)
    });
    for word in ["start", "peer up", "advert", "write", "delta", "log {"] {
        assert!(
            outcome.trace.contains(word),
            "no `{word}` in\n{}",
            outcome.trace
        );
    }
}

#[test]
fn a_trace_shows_commands_with_their_replies() {
    let outcome = run_seed(&Options {
        trace: true,
        until: Some(5_000),
        ..Options::seed(5)
    });
    assert!(outcome.trace.contains("command"), "{}", outcome.trace);
    let commands: Vec<_> = outcome.coverage.commands().collect();
    assert!(!commands.is_empty(), "seed 5 sends commands");
}
