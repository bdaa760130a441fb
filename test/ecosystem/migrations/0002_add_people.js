import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"

export default Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`INSERT INTO files_people ${sql.insert([{ name: "Ada" }, { name: "Grace" }])}`
)
