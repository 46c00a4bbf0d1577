# Functions for the preparations in this folder; tests/examples.rs sources it. The programs that the examples name are stand-ins.

# An empty store, and an empty other one.
wipe() {
	if [[ -s root.pw ]]; then
		kvadm auth disable --user root --password-file root.pw --yes -q 2>/dev/null || true
	fi
	"$ETCDCTL" --endpoints "$ENDPOINT" del '' --prefix >/dev/null
	"$ETCDCTL" --endpoints "$OTHER" del '' --prefix >/dev/null
}

# program FILE LINE...: an executable file of these lines of shell.
program() {
	local file=$1
	shift
	printf '%s\n' '#!/bin/sh' "$@" >"$file"
	chmod 755 "$file"
}

stand_ins() {
	local name
	for name in agent smoke-test run-job rebuild serve serve-as-leader deploy release migrate-tenant; do
		program "$name" true
	done
	for name in sleep systemctl backup git; do
		program "$FOLDER/bin/$name" true
	done
	# An editor that changes something, and one that `EDITOR='code --wait'` names.
	program "$FOLDER/bin/code" 'for file; do :; done; echo 20 >"$file"'
	program "$FOLDER/bin/vi" 'for file; do :; done; echo 10 >"$file"'
	program "$FOLDER/bin/pass" 'echo secret-of-alice'
	program "$FOLDER/bin/crontab" "echo '0 3 * * *  kvadm lock /cron/backup --try -q -- /usr/local/bin/backup'"
}

# revision N: writes until the store is at revision N.
revision() {
	local now
	now=$(kvadm status --revision)
	if [[ $now -lt $1 ]]; then
		seq "$(($1 - now))" | sed 's/.*/{"key":"fill","value":"&"}/' | kvadm put --from - -q
	fi
	[[ $(kvadm status --revision) == "$1" ]]
}

# The program 'sleep' of the examples is a stand-in that does not wait.
# Ctrl-C also reaches the command of --exec; a moment after its output, it has ended.
a_moment() { command -p sleep 0.3; }

# The ID of the learner that was added and has not started.
unstarted() { "$ETCDCTL" --endpoints "$ENDPOINT" member list | sed -n 's/, unstarted.*//p'; }

# Removes that learner. Ctrl-C may have come before etcd added it; a request that was on its way arrives within a moment.
remove_learner() {
	for _ in 1 2 3 4 5; do
		if [ -n "$(unstarted)" ]; then
			kvadm member remove "$(unstarted)" --yes -q
			a_moment
			return
		fi
		a_moment
	done
}

# other COMMAND...: kvadm at the other store.
other() { kvadm --endpoints "$OTHER" "$@"; }

# app: a few keys below /app/.
app() {
	kvadm put --from - -q <<-'END'
		{"key":"/app/mode","value":"green"}
		{"key":"/app/size","value":"3"}
		{"key":"/app/limits","value":"5"}
		{"key":"/app/tls/cert","value":"host = old-db"}
		{"key":"/app/web/config/timeout","value":"5s"}
	END
}
