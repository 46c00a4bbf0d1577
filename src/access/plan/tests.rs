//! Plans lead to the file, in steps that take no right from anybody who keeps it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;
use crate::access::document::parse_access_file;
use crate::access::document::tests::any_state;

const ALL: PlanRules<'_> = PlanRules { delete: true, caller: None };

fn state(text: &str) -> AccessState {
    parse_access_file(text.as_bytes(), "f").unwrap()
}

fn words(present: &AccessState, wanted: &AccessState, rules: PlanRules<'_>) -> Vec<String> {
    plan_access(present, wanted, rules).changes.iter().map(|planned| planned.change.to_string()).collect()
}

#[test]
fn additions_come_before_removals() {
    let present = state(
        "roles: {old: {permissions: [{access: read, key: a}]}, r: {permissions: [{access: readwrite, key: k}, \
         {access: read, key: w}, {access: read, key: gone}]}}\n\
         users: {alice: {roles: [old]}, bob: {roles: [old]}, root: {roles: [root]}}\n",
    );
    let wanted = state(
        "roles: {r: {permissions: [{access: read, key: k}, {access: readwrite, key: w}]}, n: {permissions: \
         [{access: write, prefix: /n/}]}}\nusers: {alice: {roles: [r, n]}, carol: {roles: [n]}}\n",
    );
    let plan = plan_access(&present, &wanted, ALL);
    let effects: Vec<AccessEffect> = plan.changes.iter().map(|planned| planned.effect).collect();
    use AccessEffect::{Adds, Removes, Replaces};
    assert_eq!(
        effects,
        [vec![Adds; 7], vec![Replaces], vec![Removes; 4]].concat(),
        "{:?}",
        words(&present, &wanted, ALL)
    );
    assert_eq!(plan.changes[7].replaced, Some(Access::ReadWrite));
    assert_eq!(plan.new_users().collect::<Vec<_>>(), ["carol"]);
    assert_eq!(plan.kept, [KeptEntry::Root]);
    let named = |rules| words(&present, &wanted, rules).len();
    // Neither user bob nor role old is deleted; role old is taken from alice all the same, whom the file names.
    assert_eq!(named(PlanRules { delete: false, caller: None }), 10);
}

#[test]
fn the_caller_and_root_stay_with_their_roles() {
    let present = state(
        "roles: {ops: {permissions: [{access: read, all: true}]}, old: {}}\n\
         users: {me: {roles: [root, ops]}, other: {roles: [root]}, root: {roles: [root]}}\n",
    );
    let wanted = state("{roles: {}, users: {}}");
    let plan = plan_access(&present, &wanted, PlanRules { delete: true, caller: Some("me") });
    let words: Vec<String> = plan.changes.iter().map(|planned| planned.change.to_string()).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("other") && words[1].contains("old"), "{words:?}");
    assert_eq!(
        plan.kept,
        [KeptEntry::Caller("me".to_owned()), KeptEntry::Role("ops".to_owned(), "me".to_owned()), KeptEntry::Root]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_plan_leads_to_the_file_and_takes_no_right_in_between(
        present in any_state(),
        wanted in any_state(),
        delete in any::<bool>(),
        caller in any::<prop::sample::Index>(),
    ) {
        let users: Vec<&String> = present.users.keys().collect();
        let caller = (!users.is_empty()).then(|| caller.get(&users).as_str());
        let rules = PlanRules { delete, caller };
        let plan = plan_access(&present, &wanted, rules);
        let mut now = present.clone();
        for planned in &plan.changes {
            let before = now.clone();
            now.apply(&planned.change);
            prop_assert_ne!(&before, &now, "{} changes nothing", planned.change);
            for (user, roles) in &present.users {
                for role in roles.iter().filter(|role| plan.target.users.get(user).is_some_and(|after| after.contains(*role))) {
                    prop_assert!(now.users[user].contains(role));
                }
            }
            for (role, permissions) in &present.roles {
                for (range, access) in permissions {
                    let Some(after) = plan.target.roles.get(role).and_then(|after| after.get(range)) else { continue };
                    let between = now.roles[role][range];
                    prop_assert!(includes(between, *access) || includes(between, *after));
                }
            }
        }
        prop_assert_eq!(&now, &plan.target);
        for (user, roles) in &wanted.users {
            prop_assert_eq!(&now.users[user], roles);
        }
        for (role, permissions) in &wanted.roles {
            prop_assert_eq!(&now.roles[role], permissions);
        }
        for user in caller.into_iter().chain([ROOT]) {
            if let (Some(before), false) = (present.users.get(user), wanted.users.contains_key(user)) {
                prop_assert_eq!(&now.users[user], before);
            }
        }
        if !delete {
            prop_assert!(present.users.keys().all(|user| now.users.contains_key(user)));
            prop_assert!(present.roles.keys().all(|role| now.roles.contains_key(role)));
        }
        let again = plan_access(&now, &wanted, rules);
        prop_assert!(again.changes.is_empty());
        // An interrupted plan is continued.
        let mut half = present.clone();
        plan.changes.iter().take(plan.changes.len() / 2).for_each(|planned| half.apply(&planned.change));
        plan_access(&half, &wanted, rules).changes.iter().for_each(|planned| half.apply(&planned.change));
        prop_assert_eq!(half, now);
    }
}
