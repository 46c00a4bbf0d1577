//! The owner that `lock` names in its key: this host, process and user.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::kvstore::LockOwner;
use crate::time::Time;

/// This process as the owner of a lock, with the base name of the program that it runs, if any.
pub fn this_process(program: &OsStr) -> LockOwner {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let cmd = Path::new(program).file_name().unwrap_or_default();
    LockOwner {
        host: host.trim().to_owned(),
        pid: Some(std::process::id()),
        user: user(),
        since: Some(Time::now()),
        cmd: cmd.to_string_lossy().into_owned(),
    }
}

/// The user's name. Only the local file is read: a lookup over the network could take longer than the lock may wait.
fn user() -> String {
    let Ok(process) = fs::metadata("/proc/self") else { return String::new() };
    let uid = process.uid().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&users, &uid).map_or(uid.clone(), str::to_owned)
}

fn name_of<'a>(users: &'a str, uid: &str) -> Option<&'a str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_has_a_name_or_a_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/var/www:\n";
        assert_eq!((name_of(users, "33"), name_of(users, "0"), name_of(users, "3")), (Some("web"), Some("root"), None));
        let owner = this_process(OsStr::new("/usr/local/bin/backup"));
        assert_eq!((owner.cmd.as_str(), owner.pid), ("backup", Some(std::process::id())));
        assert!(!owner.host.is_empty() && !owner.user.is_empty());
    }
}
