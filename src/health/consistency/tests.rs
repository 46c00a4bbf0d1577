//! Tests of the comparison of hashes.

use super::*;

fn hashes(results: &[Result<(u32, Revision), &str>]) -> MemberHashes {
    let member = |(index, result): (usize, &Result<(u32, Revision), &str>)| MemberHash {
        endpoint: format!("http://m{index}"),
        id: Some(index as u64),
        name: format!("m{index}"),
        result: result.map_err(str::to_owned),
    };
    MemberHashes {
        revision: 9,
        leader: None,
        members: results.iter().enumerate().map(member).collect(),
        addresses: results
            .iter()
            .enumerate()
            .map(|(index, _)| Endpoint::parse(&format!("http://m{index}:1"), false).ok())
            .collect(),
        is_outrun: false,
        incomplete: results.iter().filter_map(|result| result.err().map(str::to_owned)).collect(),
    }
}

#[test]
fn hashes_of_one_compact_revision_are_comparable() {
    assert!(!hashes(&[Ok((1, 5)), Ok((2, 5)), Err("down")]).is_moving());
    assert!(hashes(&[Ok((1, 5)), Ok((1, 6))]).is_moving());
    assert!(!hashes(&[]).is_moving());
    let outrun = MemberHashes { is_outrun: true, ..hashes(&[Ok((1, 5)), Err("compacted")]) };
    assert!(outrun.is_moving());
}

#[test]
fn the_minority_is_named() {
    let named = |results: &[Result<(u32, Revision), &str>]| {
        let report = hashes(results).report(ConsistencyVerdict::Different, vec![]);
        report.deviating().iter().map(|member| member.endpoint.clone()).collect::<Vec<_>>()
    };
    assert_eq!(named(&[Ok((1, 5)), Ok((2, 5)), Ok((1, 5))]), ["http://m1"]);
    assert!(named(&[Ok((1, 5)), Ok((1, 4)), Ok((1, 5))]).is_empty(), "equal hashes");
    assert!(named(&[Ok((1, 5)), Ok((2, 4)), Ok((1, 5))]).is_empty(), "another compact revision");
    assert!(named(&[Ok((1, 5)), Ok((2, 5)), Ok((1, 5)), Err("down")]).is_empty(), "2 of 4 are no majority");
    assert!(named(&[Ok((1, 5)), Ok((2, 5))]).is_empty(), "no majority");
    assert!(named(&[Ok((1, 5)), Ok((1, 5))]).is_empty());
}

#[test]
fn a_member_is_outvoted_only_by_keys_and_a_comparable_majority() {
    let outvoted = |results: &[Result<(u32, Revision), &str>], count| {
        let report = hashes(results).report(ConsistencyVerdict::Different, vec![]);
        let report = ConsistencyReport { difference_count: count, ..report };
        report.outvoted().map(|(one, agrees)| (one.endpoint.clone(), agrees.endpoint.clone()))
    };
    let wrong = Some(("http://m0".to_owned(), "http://m1".to_owned()));
    assert_eq!(outvoted(&[Ok((2, 5)), Ok((1, 5)), Ok((1, 5))], 1), wrong);
    assert_eq!(outvoted(&[Ok((2, 5)), Ok((1, 5)), Ok((1, 5))], 0), None, "only older revisions differ");
    assert_eq!(outvoted(&[Ok((2, 4)), Ok((1, 5)), Ok((1, 5))], 1), None, "another compact revision");
    assert_eq!(outvoted(&[Ok((2, 5)), Ok((1, 5))], 1), None, "no majority");
    assert_eq!(outvoted(&[Ok((2, 5)), Ok((3, 5)), Ok((1, 5)), Ok((1, 5)), Ok((1, 5))], 1), None, "two deviate");
}

#[test]
fn different_compact_revisions_prove_nothing() {
    assert!(!hashes(&[Ok((2, 4)), Ok((1, 0)), Ok((1, 0))]).is_proved_different());
    assert!(hashes(&[Ok((2, 4)), Ok((1, 0)), Ok((3, 0))]).is_proved_different());
}

#[test]
fn one_listing_is_read_for_each_hash() {
    let groups = hashes(&[Ok((1, 5)), Ok((2, 5)), Ok((1, 5)), Err("down"), Ok((2, 6))]).representatives();
    let endpoints: Vec<&str> = groups.iter().map(|(endpoint, _)| endpoint.as_str()).collect();
    assert_eq!(endpoints, ["http://m0", "http://m1", "http://m4"]);
}

#[test]
fn other_compact_revisions_are_named() {
    assert_eq!(hashes(&[Ok((1, 5)), Ok((2, 5))]).disagreement(), "the hashes differ");
    let text = hashes(&[Ok((1, 5)), Ok((2, 6))]).disagreement();
    assert_eq!(text, "the members are compacted at different revisions (http://m0 at 5, http://m1 at 6)");
}
