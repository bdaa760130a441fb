/**
 * SQL for a table of the numbers 1 to `count`, in order, in a column `seq`: as a part of FROM, on MySQL and on MariaDB. More
 * than a thousand are counted in thousands. The server makes them as they are read, so there may be very many.
 */
export const numbers = (count: number): string =>
  count <= 1_000
    ? `JSON_TABLE(${zeros(count)}, '$[*]' COLUMNS (seq FOR ORDINALITY)) AS numbers`
    : `(SELECT (thousands.seq - 1) * 1000 + ones.seq AS seq
        FROM JSON_TABLE(${zeros(count / 1_000)}, '$[*]' COLUMNS (seq FOR ORDINALITY)) AS thousands,
          JSON_TABLE(IF(thousands.seq > 0, ${
      zeros(1_000)
    }, ''), '$[*]' COLUMNS (seq FOR ORDINALITY)) AS ones) AS numbers`
// The second table seems to depend on the first, so that no server reads them in another order.

const zeros = (length: number): string => `CONCAT('[0', REPEAT(',0', ${length - 1}), ']')`
