/** Any error of this package. */
import { ConfigurationError, DatabaseError, ServiceError } from "../Errors.ts"

export type InfrastructureError = ConfigurationError | ServiceError | DatabaseError

export const isInfrastructureError = (value: unknown): value is InfrastructureError =>
  value instanceof DatabaseError || value instanceof ServiceError || value instanceof ConfigurationError
