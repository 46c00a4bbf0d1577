//! Changes of the membership whose answers are lost or spoiled: read back, and never sent again.

use std::sync::Mutex;

use serde_json::Value;

use super::member::{listed, member, named};
use super::outcomes::SPOILS;
use super::support::{Cluster, Etcd, Plan, Spoil, Spoiler};

const CHANGES: &[&str] = &["MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote", "MoveLeader"];
const LEARNER: &str = "http://127.0.0.1:3";

/// etcd's own list: its text changes with each change.
fn state(etcd: &Etcd) -> String {
    etcd.etcdctl_ok(&["member", "list"])
}

/// Each change, each kind of spoiled answer, with the endpoint gone afterwards or not: 0 only if it is done, 7 if kvadm cannot
/// tell, and never sent twice.
#[test]
fn no_change_of_the_members_is_misreported_or_repeated() {
    let wrong = Mutex::new(Vec::new());
    let unknown = Mutex::new(0);
    std::thread::scope(|scope| {
        for then_gone in [false, true] {
            let (wrong, unknown) = (&wrong, &unknown);
            scope.spawn(move || {
                let etcd = Etcd::start();
                // An endpoint that is gone is waited for: a few of these are enough.
                for (number, spoil) in SPOILS.iter().enumerate().step_by(if then_gone { 9 } else { 1 }) {
                    let update = ["update", "default", "--peer-urls", &format!("http://127.0.0.1:{}", 100 + number)];
                    // etcd derives the ID of a member from its URL and the second, and takes no ID that was removed.
                    let learner = format!("http://127.0.0.1:{}", 300 + number);
                    let add = ["add", "m1", "--peer-urls", &learner, "--learner"];
                    let remove = ["remove", &learner, "--yes"];
                    for args in [&update[..], &add, &remove] {
                        let plan = Plan { spoil: *spoil, methods: CHANGES, skip: 0, times: 1, then_gone };
                        let spoiler = Spoiler::start(&etcd.address(), plan);
                        let before = state(&etcd);
                        let run = member(&spoiler.endpoint(), args)
                            .args(["--op-timeout", if then_gone { "400ms" } else { "2s" }])
                            .run();
                        let is_right = match run.code {
                            Some(0) => !then_gone && run.stderr_text().contains("the answer was lost"),
                            Some(7) => run.stderr_text().contains("kvadm member list"),
                            _ => false,
                        };
                        *unknown.lock().unwrap() += usize::from(run.code == Some(7));
                        let once = spoiler.seen() == 1 && state(&etcd) != before;
                        if !is_right || !once {
                            wrong.lock().unwrap().push(format!(
                                "{} {spoil:?} gone {then_gone}: {:?} {}",
                                args[0],
                                run.code,
                                run.stderr_text()
                            ));
                        }
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    // A list is out of reach only if the endpoint is gone.
    assert_eq!(unknown.into_inner().unwrap(), SPOILS.len().div_ceil(9) * 3);
}

#[test]
fn leadership_that_moved_without_an_answer_is_read_back() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader();
    let plan = Plan { spoil: Spoil::CutBefore, methods: CHANGES, skip: 0, times: 1, then_gone: false };
    let spoiler = Spoiler::start(&cluster.members[leader].address(), plan);
    let run = member(&spoiler.endpoint(), &["move-leader"]).run();
    run.ok().out_has("leader-moved").err_has("the answer was lost");
    assert_eq!(spoiler.seen(), 1);
    assert_ne!(cluster.leader(), leader);
}

#[test]
fn a_deadline_under_an_addition_is_unknown() {
    let etcd = Etcd::start();
    let mut proxy = super::support::Proxy::start(&etcd.address());
    let endpoint = proxy.endpoint();
    let args = ["add", "m1", "--peer-urls", LEARNER, "--learner", "--deadline", "3s", "-vv"];
    proxy.set(super::support::Mode::Delay {
        up: std::time::Duration::from_millis(300),
        down: std::time::Duration::ZERO,
    });
    let running = member(&endpoint, &args).spawn();
    // The list is the last request before the addition.
    running.wait_for_stderr("adding m1 as a learner", super::member::SOON);
    proxy.set(super::support::Mode::HangReplies);
    let run = running.wait();
    run.code(7).out_empty().err_has("run 'kvadm member list' before you retry");
    proxy.cut();
    let members: Vec<Value> = listed(&etcd);
    assert_eq!(named(&members, LEARNER)["role"], "learner", "etcd has done it");
}
