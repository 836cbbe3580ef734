//! The dashboard in a real browser, on a real cluster.

use crate::cluster::Cluster;
use crate::support::skip;
use crate::webdriver::Browser;

/// The values in large, node by node.
fn values(text: &str) -> Vec<&str> {
    text.lines().skip(1).step_by(2).collect()
}

fn browser(test: &str) -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        skip(test, "chromium or chromedriver is not installed");
    }
    browser
}

#[test]
fn the_dashboard_shows_the_nodes_differ_and_meet_and_its_lab_cuts_and_heals() {
    let Some(browser) = browser("the_dashboard_shows_the_nodes_differ") else {
        return;
    };
    let cluster = Cluster::start(3, &[]);
    let http = cluster.nodes[0].plan.http_port;
    cluster.run(0, "SET balance 5");
    cluster.await_converged();
    browser.resize(1280, 2000);
    browser.open(&format!("http://127.0.0.1:{http}/?key=balance"));
    let large = "#key-values";
    browser.sees("5 everywhere", large, |text| {
        values(text) == ["5", "5", "5"]
    });

    cluster.run(0, "EK.FAULT DELAY * 4000 4000");
    cluster.run(0, "SET balance 10");
    browser.sees("A ahead", large, |text| values(text) == ["10", "5", "5"]);
    browser.sees("the difference", "#key-verdict", |text| {
        text == "the nodes differ"
    });
    browser.picture("dashboard-apart.png");
    browser.sees("10 everywhere", large, |text| {
        values(text) == ["10", "10", "10"]
    });
    cluster.run(0, "EK.FAULT HEAL *");

    browser.press("Cut C off");
    browser.sees("the cut", "#lab-links", |text| {
        text.contains("A – C: cut, heal it")
    });
    browser.sees("that C is not reached", "#verdict", |text| {
        text.contains("cannot be reached")
    });
    cluster.run(1, "SET balance 11");
    browser.sees("C behind", large, |text| values(text) == ["11", "11", "10"]);
    browser.sees("the gap", "#gap-table", |text| text.contains('?'));
    browser.picture("dashboard-cut.png");
    browser.press("Heal all links");
    browser.sees("C again", large, |text| values(text) == ["11", "11", "11"]);
    browser.sees("zero", "#verdict", |text| {
        text == "converged: no node lacks anything"
    });

    cluster.run(0, "EK.FAULT MUTE *");
    cluster.run(0, "SET balance 12");
    browser.sees("who alone holds it", "#gap-detail", |text| {
        text.contains("bytes to send") && text.contains("A alone holds 1")
    });
    browser.sees("the key", "#gap-keys", |text| {
        text.contains("balance (A ≠ B=C)")
    });
    browser.sees("how long writes take", "#visible-table", |text| {
        text.contains(" ms")
    });
    cluster.run(0, "SET fight from-a");
    cluster.run(1, "SET fight from-b");
    browser.sees("the conflict", "#feed-table", |text| {
        ["fight", "from-a (A)", "from-b (B)"]
            .iter()
            .all(|part| text.contains(part))
    });
    cluster.run(1, "CONFIG SET slowlog-log-slower-than 0");
    cluster.run(1, "ECHO not-so-slow");
    cluster.run(1, "CONFIG SET slowlog-log-slower-than 10000");
    browser.sees("the slow command of B", "#slow-table", |text| {
        text.contains("ECHO not-so-slow")
    });
    browser.picture("dashboard-keys.png");
    cluster.run(0, "EK.FAULT CUT *");
    cluster.run(0, "EK.FAULT HEAL *");
    browser.sees("no key left", "#gap-keys", str::is_empty);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_dashboard_fits_a_phone_and_is_read_by_keyboard() {
    let Some(browser) = browser("the_dashboard_fits_a_phone") else {
        return;
    };
    let cluster = Cluster::start(1, &[]);
    browser.resize(500, 900);
    browser.open(&format!(
        "http://127.0.0.1:{}/",
        cluster.nodes[0].plan.http_port
    ));
    browser.sees("the node", "#nodes-table", |text| text.contains("serving"));
    let beyond = browser.eval("document.documentElement.scrollWidth - window.innerWidth");
    assert!(
        beyond.as_i64().unwrap() <= 0,
        "the page is {beyond} wider than the window"
    );
    let unnamed = browser.eval(
        "[...document.querySelectorAll('button, input, select')].filter(e => e.offsetParent && !e.labels?.length && !e.ariaLabel && !e.innerText.trim()).map(e => e.outerHTML)",
    );
    assert_eq!(
        unnamed,
        serde_json::json!([]),
        "everything that can be used has a name"
    );
    browser.picture("dashboard-phone.png");
}
