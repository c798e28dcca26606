#!/bin/bash
# A real SLURM of one node with accounting, for a drill: `slurm_node.sh start`, `stop`, `folder`.
#
# Debian or Ubuntu, as root, without systemd: installs what is missing, and starts munged, mariadbd,
# slurmdbd, slurmctld and slurmd with files of their own under DRILL_SLURM, so that a SLURM in
# /etc/slurm is left as it is. Every port is one of 127.0.0.1: the daemons bind to the address of
# the machine's name, so they run where that name is localhost. Clients need
# SLURM_CONF=$(slurm_node.sh folder)/slurm.conf.
set -euo pipefail

root=${DRILL_SLURM:-/var/lib/slurm-drill}
cpus=${DRILL_CPUS:-$(nproc)}
memory=${DRILL_MEMORY:-$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)} # MB
programs=(munged mariadbd slurmdbd slurmctld slurmd)
packages=(munge mariadb-server slurmdbd slurmctld slurmd slurm-client)

install_missing() {
    local missing=()
    for i in "${!programs[@]}"; do
        [ -x "/usr/sbin/${programs[i]}" ] || missing+=("${packages[i]}")
    done
    command -v sbatch > /dev/null || missing+=(slurm-client)
    [ ${#missing[@]} -eq 0 ] && return
    apt-get update -qq
    # Debian's own services stay off: a policy that refuses every start.
    local policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy && trap "rm -f $policy" EXIT; }
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
}

write_config() {
    mkdir -p "$root"/{state,spool,log,run,sql}
    chmod 755 "$root" "$root"/*
    chown mysql:mysql "$root"/sql
    [ -s "$root/munge.key" ] || dd if=/dev/urandom of="$root/munge.key" bs=1024 count=1 status=none
    chmod 600 "$root/munge.key"
    # cred_expire is also how long a requeued job waits before it starts again (default: 120 s).
    cat > "$root/slurm.conf" << END
ClusterName=drill
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=26817
SlurmdPort=26818
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$root/run/munge.socket,cred_expire=10
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=26819
AccountingStoragePass=$root/run/munge.socket
StateSaveLocation=$root/state
SlurmdSpoolDir=$root/spool
SlurmctldPidFile=$root/run/slurmctld.pid
SlurmdPidFile=$root/run/slurmd.pid
SlurmctldLogFile=$root/log/slurmctld.log
SlurmdLogFile=$root/log/slurmd.log
ReturnToService=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs=$cpus RealMemory=$memory State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
END
    cat > "$root/slurmdbd.conf" << END
AuthType=auth/munge
AuthInfo=socket=$root/run/munge.socket
DbdHost=localhost
DbdPort=26819
CommunicationParameters=NoInAddrAny
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
LogFile=$root/log/slurmdbd.log
PidFile=$root/run/slurmdbd.pid
END
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' > "$root/cgroup.conf"
    chmod 600 "$root/slurmdbd.conf"
}

runs() { # PROGRAM: its process number, if it is alive
    local file=$root/run/$1.pid process
    [ -s "$file" ] && process=$(cat "$file") && [ "$(cat "/proc/$process/comm" 2> /dev/null)" = "$1" ] && echo "$process"
}

await() { # SECONDS COMMAND...
    local until=$((SECONDS + $1))
    shift
    until timeout 5 "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $until ] || { echo "not ready: $*; see $root/log" >&2 && return 1; }
        sleep 0.2
    done
}

as_localhost() { unshare --uts sh -c 'hostname localhost && exec "$0" "$@"' "$@"; }

start() {
    install_missing
    write_config
    export SLURM_CONF=$root/slurm.conf MYSQL_UNIX_PORT=$root/run/sql.socket
    runs munged > /dev/null || munged --force --key-file="$root/munge.key" \
        --socket="$root/run/munge.socket" --pid-file="$root/run/munged.pid" \
        --log-file="$root/log/munged.log" --seed-file="$root/munge.seed"
    [ -d "$root/sql/mysql" ] || mariadb-install-db --no-defaults --user=mysql --datadir="$root/sql" > /dev/null
    if ! runs mariadbd > /dev/null; then
        chown mysql "$root/run"
        setsid mariadbd --no-defaults --user=mysql --datadir="$root/sql" --skip-networking \
            --socket="$MYSQL_UNIX_PORT" --pid-file="$root/run/mariadbd.pid" \
            > "$root/log/mariadbd.log" 2>&1 < /dev/null &
    fi
    await 60 mariadb-admin --no-defaults --socket="$MYSQL_UNIX_PORT" ping
    mariadb --no-defaults --socket="$MYSQL_UNIX_PORT" -e "create database if not exists slurm_acct_db"
    runs slurmdbd > /dev/null || as_localhost slurmdbd
    await 30 sacctmgr --noheader list cluster
    runs slurmctld > /dev/null || as_localhost slurmctld
    runs slurmd > /dev/null || as_localhost slurmd -N localhost
    await 30 sh -c 'sinfo --noheader --format=%T | grep -qE "idle|mixed|allocated"'
}

stop() {
    if runs slurmctld > /dev/null; then
        export SLURM_CONF=$root/slurm.conf
        timeout 5 scancel --partition=main || true
        await 60 sh -c '[ -z "$(squeue --noheader)" ]' || true
    fi
    for program in slurmd slurmctld slurmdbd mariadbd munged; do
        if process=$(runs $program); then
            kill "$process"
            await 30 sh -c "! kill -0 $process"
        fi
    done
}

case ${1:-} in
    start | stop) "$1" ;;
    folder) echo "$root" ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 2 ;;
esac
