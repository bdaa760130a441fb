/** Every time limit and pause of the local stack, in milliseconds. */

/** How long a short command (`--version`, `--help`, `docker info`, `ps`) may take. Then it is stopped. */
export const COMMAND = 10_000

/** How long a server on this machine may take to make its data directory, and again until it answers. */
export const SERVER_START = 60_000

/** The same for a container, whose image may have to be downloaded first. */
export const CONTAINER_START = 300_000

/** How long the whole installation with apt-get may take. */
export const INSTALL = 600_000

/** How long one process waits for another that installs the server at the same time. */
export const INSTALL_BY_ANOTHER = 300_000

/** How long apt-get waits for another program that holds its lock. */
export const PACKAGE_LOCK = 120_000

/** How long a server may take to stop after SIGTERM. Then it gets SIGKILL: nothing that it holds is kept. */
export const STOP = 1_000

/** How often we look whether a process that was told to stop has ended. */
export const STOP_POLL = 20

/** The pause between two attempts to reach a server that is starting. */
export const PING_PAUSE = 10

/** How long it may take to connect and log in to a server. */
export const CONNECT = 2_000

/** How long a statement of ours (SELECT 1, CREATE DATABASE) may take. */
export const STATEMENT = 10_000
