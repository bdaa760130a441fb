/** Every time limit of the databases of tests. */

/** How long one statement of a set-up or a restore may take on the server. */
export const STATEMENT = "60 seconds"

/** Seconds that a worker waits while another one makes the template that both need. */
export const TEMPLATE = 55

/** Seconds that a restore waits for rows and tables that an unfinished transaction of the test has locked. */
export const LOCKED = 5

/** Seconds after which a database that nobody holds any more was left by a run that was killed. */
export const LEFT_OVER = 60 * 60

/** Seconds since its last use after which a template is dropped. */
export const TEMPLATE_UNUSED = 7 * 24 * 60 * 60

/** How many databases that were left over one layer drops: it must not take long to start. */
export const MOST_DROPPED = 10
