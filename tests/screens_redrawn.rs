//! What a terminal shows of the commands that redraw it, at 80 and at 160 columns.

use std::time::Duration;

use super::failover::cluster;
use super::snapshots::Page;
use super::support::screen::shown;
use super::support::{Endpoints, Etcd, Kvadm, Running};

/// The snapshots of this file.
pub(super) const NAMES: &[&str] = &["screens-status", "screens-top"];

const SOON: Duration = Duration::from_secs(20);
const SIZES: [(u16, u16); 2] = [(24, 80), (40, 160)];

/// Figures and times differ from run to run, and so do their widths; bars do too. The cells stay.
fn masked(lines: Vec<String>) -> Vec<String> {
    let cell = |cell: &str| {
        let number = |text: &str| text.parse::<f64>().is_ok();
        match cell.split_once(' ') {
            Some((figure, "B" | "KiB" | "MiB")) if number(figure) => "[SIZE]".to_owned(),
            _ if cell.contains('.') && number(cell) => "[N]".to_owned(),
            _ if cell.strip_suffix('s').is_some_and(number) => "[PERIOD]".to_owned(),
            _ if cell.len() == 20 && cell.ends_with('Z') && cell.contains('T') => "[TIME]".to_owned(),
            _ if !cell.is_empty() && cell.chars().all(|c| ('▁'..='█').contains(&c)) => "[BARS]".to_owned(),
            _ => cell.to_owned(),
        }
    };
    let cells = |line: &str| {
        line.split("  ").map(str::trim).filter(|text| !text.is_empty()).map(cell).collect::<Vec<_>>().join("  ")
    };
    lines.iter().map(|line| cells(line)).collect()
}

fn on_terminal(of: &(impl Endpoints + ?Sized), args: &[&str], (lines, columns): (u16, u16)) -> Running {
    let running =
        Kvadm::new().endpoint(of).args(args).env("NO_COLOR", "1").pty().timeout(Duration::from_secs(60)).spawn();
    running.resize(lines, columns);
    running
}

#[test]
fn top() {
    let mut page = Page::new();
    for size in SIZES {
        let etcd = Etcd::start();
        let mut running = on_terminal(&etcd, &["top", "/registry/", "--every", "5s", "--count", "1", "--keys"], size);
        running.wait_for_stdout("counting for 5s", SOON);
        let keys = (0..60).map(|n| match n % 10 {
            0..6 => format!("/registry/pods/default/web-{n}"),
            6..9 => format!("/registry/leases/kube-node-lease/node-{n}"),
            _ => format!("/registry/apiextensions.k8s.io/customresourcedefinitions/{n}"),
        });
        let records: String =
            keys.map(|key| serde_json::json!({"key": key, "value": "x".repeat(100)}).to_string() + "\n").collect();
        Kvadm::new().endpoint(&etcd).args(["put", "--from", "-", "-q"]).stdin(records).run().ok();
        running.wait_for_stdout("total", SOON);
        running.ended();
        let run = running.wait();
        run.ok();
        let (lines, columns) = size;
        let lines = shown(&run.stdout, usize::from(lines), usize::from(columns));
        page.show_screen(&format!("kvadm top /registry/ --keys, {columns} columns:"), &masked(lines));
    }
    page.hold("screens-top");
}

#[test]
fn status() {
    let cluster = cluster();
    let mut page = Page::new();
    for size in SIZES {
        let running = on_terminal(&*cluster, &["status", "--watch=200ms"], size);
        running.wait_for_stdout("healthy", SOON);
        let (lines, columns) = size;
        super::support::eventually("a second round", SOON, || {
            String::from_utf8_lossy(&running.stdout()).matches("\x1b[H").count() > 2
        });
        running.signal(nix::sys::signal::Signal::SIGINT);
        let run = running.wait();
        run.signal(nix::sys::signal::Signal::SIGINT);
        let lines = shown(&run.stdout, usize::from(lines), usize::from(columns));
        // Who leads, and the sizes, differ from run to run: the title and the headings stay.
        let lines: Vec<String> =
            masked(lines).iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert!(lines[0].starts_with("[TIME] healthy"), "{lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("http://")).count(), 3, "{lines:#?}");
        assert_eq!(
            lines.len(),
            if lines[2].starts_with("http://") { 5 } else { 6 },
            "nothing else is shown: {lines:#?}"
        );
        // Only newer versions tell the quota.
        let heading = |line: String| line.replace(" QUOTA", "");
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.starts_with("http://")).map(heading).collect();
        page.show_screen(&format!("kvadm status --watch, {columns} columns:"), &lines);
    }
    page.hold("screens-status");
}
