//! Removals that share a request: each has its own outcome, or all have the outcome of the request.

use std::time::Duration;

use kvadm::gc::{CandidateOutcome, SweepAnswer, run_txns};
use kvadm::kvstore::{Compare, Error, KeySelector, Op, Store, Txn};

use super::support::answers::{REVISION, header, valid};
use super::support::library::store_within;
use super::support::{FakeServer, Message, Reply, shared, unique_prefix};

const SOON: Duration = Duration::from_secs(20);

/// Deletes the key if it exists, otherwise reads the second key.
fn removal(key: &str, otherwise: &str) -> Txn {
    let key = KeySelector::Key(key.as_bytes().to_vec());
    let KeySelector::Key(compared) = &key else { unreachable!() };
    Txn {
        compares: vec![Compare::exists(compared)],
        then: vec![Op::Delete { over: key.clone(), prev: false }],
        otherwise: vec![Op::get_at(KeySelector::Key(otherwise.as_bytes().to_vec()), 0)],
    }
}

fn outcomes(endpoint: &str, txns: Vec<Txn>) -> Result<Vec<CandidateOutcome>, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store: Store = store_within(endpoint, b"", SOON);
        let answers = run_txns(&store, "gc", txns).await?;
        Ok(answers.into_iter().map(SweepAnswer::outcome).collect())
    })
}

#[test]
fn each_removal_of_a_request_has_its_own_outcome() {
    let etcd = shared();
    let prefix = unique_prefix();
    let key = |name: &str| format!("{prefix}{name}");
    for name in ["a", "c", "other"] {
        etcd.etcdctl_ok(&["put", &key(name), "v"]);
    }
    let txns = vec![
        removal(&key("a"), &key("a")),
        removal(&key("b"), &key("b")),
        removal(&key("c"), &key("c")),
        removal(&key("d"), &key("other")),
    ];
    let wanted =
        [CandidateOutcome::Removed, CandidateOutcome::Gone, CandidateOutcome::Removed, CandidateOutcome::Changed];
    assert_eq!(outcomes(&etcd.endpoint(), txns).unwrap(), wanted);
}

/// Answers transactions so, as a server that is not etcd might.
fn answering(reply: impl Fn() -> Reply + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |asked| if asked.method == "KV/Txn" { reply() } else { valid(asked) })
}

#[test]
fn removals_of_a_request_without_an_outcome_are_unknown_all_of_them() {
    let server = answering(|| Reply::Refusal(13, "the load balancer lost its way".to_owned()));
    let txns = ["/a", "/b", "/c"].map(|key| removal(key, key)).into();
    let outcomes = outcomes(&server.endpoint(), txns).unwrap();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, CandidateOutcome::Unknown(_))), "{outcomes:?}");
}

#[test]
fn an_answer_for_fewer_removals_than_were_sent_is_the_outcome_of_none() {
    let one = Message::new().message(4, &Message::new().int(2, 1));
    let head = Message::new().message(1, &header(REVISION + 1)).int(2, 1);
    let server = answering(move || head.clone().messages(3, [one.clone()]).into());
    let txns = ["/a", "/b", "/c"].map(|key| removal(key, key)).into();
    let outcomes = outcomes(&server.endpoint(), txns).unwrap();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, CandidateOutcome::Unknown(_))), "{outcomes:?}");
}
