//! Which member a word of the command line means. Pure.

use super::view::MemberView;
use crate::error::{Exit, Failure};
use crate::kvstore::parse_hex;
use crate::transport::Endpoint;

/// A mistyped name differs from the meant one by at most this many changes of a character.
const NEAR: usize = 2;

/// The member with this ID, name, peer URL or client URL.
///
/// # Errors
/// [`Exit::No`] if there is none, [`Exit::Usage`] if there are several.
pub fn find_member<'a>(members: &[&'a MemberView], word: &str) -> Result<&'a MemberView, Failure> {
    let found: Vec<&MemberView> = members.iter().copied().filter(|view| is_meant(view, word)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(unknown(members, word)),
        several => {
            let failure = Failure::usage(format!("'{word}' means {} members", several.len()));
            Err(list(failure.hint("use the ID of one of them"), several))
        }
    }
}

fn is_meant(view: &MemberView, word: &str) -> bool {
    let member = &view.member;
    let id = word.strip_prefix("0x").unwrap_or(word);
    if parse_hex(id).filter(|_| !id.is_empty()) == Some(member.id) || !word.is_empty() && member.name == word {
        return true;
    }
    let mut urls = member.peer_urls.iter().chain(&member.client_urls);
    let parsed = Endpoint::parse(word, false).ok().filter(|_| word.contains("://"));
    urls.any(|url| url == word || parsed.is_some() && Endpoint::parse(url, false).ok() == parsed)
}

fn unknown(members: &[&MemberView], word: &str) -> Failure {
    let shown = if word.is_empty() { "''" } else { word };
    let mut failure = Failure::new(Exit::No, format!("member not found: {shown}"));
    let distance = |view: &&&MemberView| strsim::levenshtein(&view.member.name, word);
    // Members are often numbered: a name with another number is another member, and no correction.
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let is_candidate = |view: &&&MemberView| {
        !word.is_empty() && !view.member.name.is_empty() && digits(&view.member.name) == digits(word)
    };
    let near = members.iter().filter(is_candidate).min_by_key(distance);
    if let Some(near) = near.filter(|view| distance(view) <= NEAR) {
        failure = failure.hint(format!("did you mean '{}'?", near.member.name));
    }
    list(failure, members)
}

fn list(failure: Failure, members: &[&MemberView]) -> Failure {
    members.iter().fold(failure, |failure, view| {
        let name = if view.member.name.is_empty() { "(not started)" } else { &view.member.name };
        failure.hint(format!("{:x}  {name}  {}", view.member.id, view.member.peer_urls.join(",")))
    })
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::kvstore::Member;

    pub fn view(id: u64, name: &str, port: u16) -> MemberView {
        let client_urls = if name.is_empty() { Vec::new() } else { vec![format!("http://10.0.0.1:{}", port + 1)] };
        let peer_urls = vec![format!("http://10.0.0.1:{port}")];
        MemberView {
            member: Member { id, name: name.to_owned(), peer_urls, client_urls, learner: false },
            status: None,
            address: None,
            health: None,
            answers: !name.is_empty(),
        }
    }

    #[test]
    fn a_member_has_an_id_a_name_and_urls() {
        let views = [view(0xa1, "m1", 2380), view(0xb2, "m2", 2480), view(0xc3, "", 2580), view(0xd4, "a1", 2680)];
        let members: Vec<&MemberView> = views.iter().collect();
        let id = |word: &str| find_member(&members, word).map(|view| view.member.id).map_err(|failure| failure.exit);
        for (word, found) in [
            ("m1", 0xa1),
            ("b2", 0xb2),
            ("0xB2", 0xb2),
            ("http://10.0.0.1:2580", 0xc3),
            ("http://10.0.0.1:2481/", 0xb2),
        ] {
            assert_eq!(id(word), Ok(found), "{word}");
        }
        assert_eq!(id("a1"), Err(Exit::Usage), "an ID and a name");
        for word in ["", "0x", "m", "M1", "10.0.0.1:2380", "http://10.0.0.1:1", "-1", "+a1"] {
            assert_eq!(id(word), Err(Exit::No), "{word}");
        }
        let hints = |word: &str| find_member(&members, word).err().expect("unknown").hints;
        assert_eq!(hints("mm1")[0], "did you mean 'm1'?");
        for other in ["m11", "m3", "m", ""] {
            assert!(hints(other)[0].starts_with("a1  m1  http://"), "{other}: another number is another member");
        }
        assert!(hints("database")[0].starts_with("a1  m1  http://"), "no name is near");
        assert!(hints("a1").iter().any(|hint| hint.contains("use the ID")));
    }

    #[test]
    fn of_two_members_with_one_name_none_is_meant() {
        let views = [view(1, "m", 2380), view(2, "m", 2480)];
        let members: Vec<&MemberView> = views.iter().collect();
        assert_eq!(find_member(&members, "m").err().expect("two").exit, Exit::Usage);
        assert_eq!(find_member(&members, "2").expect("the ID").member.id, 2);
    }
}
