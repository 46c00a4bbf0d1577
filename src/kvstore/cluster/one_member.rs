//! Serializable reads from one member, and how far that member lags behind the others.

use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::duration::from_now;
use crate::kvstore::cluster::members::{Member, MemberStatus};
use crate::kvstore::error::Error;
use crate::kvstore::store::Store;
use crate::kvstore::types::Revision;
use crate::transport::{Endpoint, Notice, Scheme};

/// One member whose data is read without the others.
#[derive(Clone)]
pub struct OneMember {
    /// A handle for this member alone, without failover, whose reads are serializable.
    pub store: Store,
    /// The member's endpoint.
    pub endpoint: Endpoint,
    /// The endpoints of the command.
    configured: Vec<Endpoint>,
}

/// The revisions of a member and of those that answered at about the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberLag {
    /// The member's latest revision; 0 if it did not answer.
    pub own: Revision,
    /// The latest revision of the other members; `None` if no other member answered.
    pub others: Option<Revision>,
}

impl MemberLag {
    /// How many revisions the member is behind the most advanced one of the others. `read` is a revision that the member
    /// is known to have. `None` if no other member answered.
    pub fn behind(&self, read: Revision) -> Option<u64> {
        let own = self.own.max(read);
        self.others.map(|others| u64::try_from(others.saturating_sub(own)).unwrap_or(0))
    }
}

impl Store {
    /// Chooses the first endpoint that answers for serializable reads. With credentials, it is the first whose member also
    /// serves the login, which goes through raft: only a member with a leader can. (A simple token is known to a member only
    /// if the login has reached it, so that the member that is read must be one that logins reach.) Later requests of this
    /// handle start at that endpoint.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Unavailable`] if there are credentials and the first member that answers has no
    /// leader, or any other error of its login, if no other member serves it either.
    pub async fn one_member(&self) -> Result<OneMember, Error> {
        let status = match self.anonymous().member_status().await {
            Ok(status) => Some(status),
            // A member that tells its status to users only.
            Err(Error::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        let configured = self.options().endpoints.clone();
        let Some(endpoint) = configured.get(self.inner.channel.current_index()).cloned() else {
            return Err(Error::Internal { op: "status", what: "the endpoint in use is not configured".to_owned() });
        };
        // A login may not have reached every member.
        let has_login = self.options().credentials.is_some() || self.options().token.is_some();
        let chosen = |endpoint: Endpoint| OneMember {
            store: self
                .member(&endpoint)
                .serializable()
                .with_other_members(configured.iter().filter(|other| !has_login && **other != endpoint).cloned()),
            endpoint,
            configured: configured.clone(),
        };
        if self.options().credentials.is_none() {
            return Ok(chosen(endpoint));
        }
        let failed = if status.is_some_and(|status| status.leader == 0) {
            let message = "the member has no leader".to_owned();
            Error::Unavailable { op: "log in", endpoint: endpoint.to_string(), message }
        } else {
            match self.member(&endpoint).ensure_ready("log in").await {
                Ok(()) => return Ok(chosen(endpoint)),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            }
        };
        let others = tokio::select! {
            biased;
            error = self.ended("log in") => return Err(error),
            others = self.members_with_leader(&endpoint) => others,
        };
        for (index, other) in others {
            match self.member(&other).ensure_ready("log in").await {
                Ok(()) => {
                    self.session.observer.notice(Notice::Detail, &format!("{failed}; logged in at {other}"));
                    self.inner.channel.start_at(index);
                    return Ok(chosen(other));
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// As [`Store::one_member`], but prefers an endpoint whose member has a leader: the data of the others may be old.
    ///
    /// # Errors
    /// As [`Store::one_member`].
    pub async fn one_member_with_leader(&self) -> Result<OneMember, Error> {
        let chosen = self.one_member().await?;
        if !chosen.store.member_status().await.is_ok_and(|status| status.leader == 0) {
            return Ok(chosen);
        }
        let others = tokio::select! {
            biased;
            error = self.ended("status") => return Err(error),
            others = self.members_with_leader(&chosen.endpoint) => others,
        };
        let Some((index, endpoint)) = others.into_iter().next() else { return Ok(chosen) };
        let text = format!("{} has no leader; using {endpoint}", chosen.endpoint);
        self.session.observer.notice(Notice::Detail, &text);
        self.inner.channel.start_at(index);
        Ok(OneMember { store: self.member(&endpoint).serializable(), endpoint, ..chosen })
    }

    /// The other endpoints whose members answer within the dial timeout and have a leader, in the configured order, with
    /// their indexes.
    async fn members_with_leader(&self, except: &Endpoint) -> Vec<(usize, Endpoint)> {
        let end = from_now(self.options().dial_timeout);
        let mut asked: JoinSet<Option<(usize, Endpoint)>> = JoinSet::new();
        for (index, endpoint) in self.options().endpoints.iter().enumerate().filter(|(_, one)| *one != except) {
            let (one, endpoint) = (self.member(endpoint).anonymous(), endpoint.clone());
            asked.spawn(async move {
                match one.member_status().await {
                    Ok(status) if status.leader == 0 => None,
                    // A member that tells its status to users only may have a leader.
                    Ok(_) | Err(Error::Refused { .. }) => Some((index, endpoint)),
                    Err(_) => None,
                }
            });
        }
        let mut found = Vec::new();
        while let Ok(Some(answer)) = timeout_at(end, asked.join_next()).await {
            found.extend(answer.ok().flatten());
        }
        found.sort_by_key(|(index, _)| *index);
        found
    }
}

impl OneMember {
    /// Asks the configured endpoints and the listed members for their revisions, for at most the dial timeout. Members
    /// that do not answer are left out.
    pub async fn lag(self) -> MemberLag {
        let end = from_now(self.store.options().dial_timeout);
        let mut asked: JoinSet<(bool, Result<MemberStatus, Error>)> = JoinSet::new();
        let mut ask = |endpoint: &Endpoint| {
            let (one, is_own) = (self.store.member(endpoint), *endpoint == self.endpoint);
            asked.spawn(async move { (is_own, one.member_status().await) });
        };
        self.configured.iter().for_each(&mut ask);
        if let Ok(Ok(listed)) = timeout_at(end, self.store.members()).await {
            listed.members.iter().filter_map(|member| self.address_of(member)).for_each(|endpoint| ask(&endpoint));
        }
        let (mut own, mut others) = (None, Vec::new());
        while let Ok(Some(answer)) = timeout_at(end, asked.join_next()).await {
            match answer {
                Ok((true, Ok(status))) => own = Some(status),
                Ok((false, Ok(status))) => others.push(status),
                _ => {}
            }
        }
        // An endpoint may be another address of the same member.
        let id = own.as_ref().map_or(0, |status| status.id);
        let others = others.iter().filter(|status| status.id != id || id == 0).map(|status| status.revision).max();
        MemberLag { own: own.map_or(0, |status| status.revision), others }
    }

    /// The address to ask a listed member at; `None` if an endpoint of the command is one of its addresses, or if all
    /// addresses are less safe than those endpoints.
    fn address_of(&self, member: &Member) -> Option<Endpoint> {
        let tls = self.configured.first().is_some_and(|endpoint| endpoint.scheme == Scheme::Tls);
        let mut urls = member.client_urls.iter().filter_map(|url| Endpoint::parse(url, tls).ok());
        if urls.clone().any(|url| self.configured.contains(&url)) {
            return None;
        }
        urls.find(|url| url.is_as_safe_as(&self.configured))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_behind_by_what_the_others_have_more() {
        let behind = |own, others, read| MemberLag { own, others }.behind(read);
        assert_eq!(behind(812, Some(816), 812), Some(4));
        assert_eq!(behind(812, Some(816), 500), Some(4), "an earlier revision was read");
        assert_eq!(behind(0, Some(816), 812), Some(4), "the member did not tell its revision");
        assert_eq!(behind(812, Some(816), 815), Some(1), "the member has moved on");
        assert_eq!((behind(812, Some(812), 812), behind(816, Some(812), 816)), (Some(0), Some(0)));
        assert_eq!(behind(812, None, 812), None);
    }
}
