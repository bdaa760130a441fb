import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"

export default Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`CREATE TABLE files_people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL)`
)
