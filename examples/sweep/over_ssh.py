"""Workers of a sweep on other machines, over SSH; a sweep finds them by the address that is printed first.

    python over_ssh.py hosts.toml

in which, for example,

    hosts = ["here", "one", "two"]        # the scheduler runs on the first host, a worker on each of the others
    python = "/opt/rosetta/bin/python"    # on every host: has alexnet-rosetta[sweep]

    [scheduler]                           # as of `dask scheduler`
    port = 8786

    [worker]                              # as of `dask worker`
    nthreads = 2
    memory_limit = "8GiB"

    [ssh]                                 # as of asyncssh.connect; by default port 22 and the keys in ~/.ssh
    username = "me"

The cluster lives until Enter is pressed or standard input ends. Needs asyncssh.
"""

import sys
import tomllib

from distributed import SSHCluster


def main():
    """Start the cluster, print its address, wait."""
    with open(sys.argv[1], "rb") as file:
        given = tomllib.load(file)
    options = {"connect_options": "ssh", "scheduler_options": "scheduler", "worker_options": "worker"}
    tables = {option: given.get(table, {}) for option, table in options.items()}
    with SSHCluster(given["hosts"], remote_python=given.get("python"), **tables) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
