#!/bin/bash
# Brings up a Slurm of NODES nodes on this machine, from nothing, without systemd and without a word in /etc. Runs as
# whoever calls it: as root, every user may submit; as another user, only that one.
#   slurm-up.sh [FOLDER] [NODES]      then: export SLURM_CONF=FOLDER/slurm.conf
#   slurm-up.sh --down [FOLDER]
# Needs root only for apt, and only where the packages are missing.
set -euo pipefail
down() {
    for name in slurmd.node* slurmctld munged; do
        for pid in "$1"/run/$name.pid; do
            [ -s "$pid" ] || continue
            number=$(cat "$pid")
            kill "$number" 2>/dev/null || continue
            # It writes into its folder until it is gone.
            for _ in $(seq 100); do kill -0 "$number" 2>/dev/null || break; sleep 0.1; done
        done
    done
}
if [ "${1:-}" = --down ]; then down "${2:-slurm-test}"; exit; fi
folder=$(realpath -m "${1:-slurm-test}")
nodes=${2:-3}
me=$(id -un)
# The path of a Unix socket has 107 characters at most, and munge's is in this folder.
[ ${#folder} -lt 90 ] || { echo "$folder: too long for a socket's path" >&2; exit 2; }

if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
    [ "$(id -u)" = 0 ] || { echo "as root: apt-get install -y --no-install-recommends slurm-wlm munge" >&2; exit 2; }
    # Debian's post-install would start the daemons where there is an init; ours must be the only ones.
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    apt-get install -qy --no-install-recommends slurm-wlm munge
fi
PATH=$PATH:/usr/sbin

mkdir -p "$folder"/{run,log,state}
chmod 0755 "$folder"
chmod 0700 "$folder"/state
for node in $(seq "$nodes"); do mkdir -p "$folder/spool.node$node"; done

# munge authenticates who calls: a key and a socket of our own. --force, since it refuses sockets below folders such
# as /tmp otherwise.
if [ ! -s "$folder/munge.key" ]; then
    dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none
    chmod 0600 "$folder/munge.key"
fi
port=${SLURM_PORT:-16817}
cat > "$folder/slurm.conf" <<CONF
ClusterName=genair
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool.%n
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.%n.log
# No cgroups, no binding: what a container allows.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
MpiDefault=none
SwitchType=switch/none
# A node may claim more cores than there are.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
# What ended is told by squeue and scontrol for MinJobAge, then by nobody but the file.
MinJobAge=300
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobcomp.txt
AccountingStorageType=accounting_storage/none
# A test does not wait.
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=1000,bf_interval=1,batch_sched_delay=0
KillWait=3
InactiveLimit=0
SlurmdTimeout=20
SlurmctldTimeout=10
BatchStartTimeout=10
MaxArraySize=1001
MaxJobCount=2000
ReturnToService=2
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
DefMemPerCPU=100
NodeName=node[1-$nodes] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((port + 1))-$((port + nodes)) CPUs=2 RealMemory=2000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=60 DefaultTime=5 PriorityTier=1 State=UP
PartitionName=urgent Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF State=UP
CONF
# A pretended GPU is any character device.
printf 'NodeName=node[1-%s] Name=gpu File=/dev/tty[1-2]\n' "$nodes" > "$folder/gres.conf"

# slurmd looks for cgroups even where nothing uses them, and ends where none are mounted, unless told which.
echo 'CgroupPlugin=cgroup/v1' > "$folder/cgroup.conf"

export SLURM_CONF=$folder/slurm.conf
/usr/sbin/munged --force --key-file="$folder/munge.key" --socket="$folder/run/munge.socket" \
    --pid-file="$folder/run/munged.pid" --log-file="$folder/log/munged.log" --seed-file="$folder/run/munged.seed"
slurmctld -f "$SLURM_CONF"
for node in $(seq "$nodes"); do slurmd -f "$SLURM_CONF" -N "node$node"; done
for _ in $(seq 200); do
    [ "$(sinfo -h -N -p main -t idle -o %N 2>/dev/null | wc -l)" = "$nodes" ] && break
    sleep 0.1
done
sinfo
[ "$(sinfo -h -N -p main -t idle -o %N | wc -l)" = "$nodes" ]
