export { S3, Sqs } from "./aws/Clients.ts"
export * as HttpUpload from "./aws/HttpUpload.ts"
export { Queue } from "./aws/Queue.ts"
export type {
  AttributeValue,
  Batch,
  BatchResult,
  ConsumeBatchOptions,
  ConsumeOptions,
  ConsumerOptions,
  ConsumerStatus,
  Dedupe,
  Delivery,
  EnqueueAllOptions,
  Enqueued,
  EnqueueOptions,
  LargePayloadOptions,
  MemoryMessage,
  MemoryQueueOptions,
  MessageAttribute,
  Outgoing,
  Poison,
  PoisonVerdict,
  QueueAttributes,
  QueueConfig,
  QueueKind,
  QueueService,
  QueueTag,
  Received,
  ReceiveOptions,
  RedriveOptions,
  RedrivePolicy,
  RedriveProgress,
  TypedQueue
} from "./aws/Queue.ts"
export { Storage } from "./aws/Storage.ts"
export type {
  ChecksumAlgorithm,
  CopyOptions,
  Data,
  DeleteReport,
  Disposition,
  Encryption,
  FileInput,
  ListOptions,
  ListPage,
  ListPagesOptions,
  MemoryObject,
  ObjectInfo,
  ObjectKey,
  PresignedPost,
  PresignedPut,
  PresignedRead,
  PresignInput,
  PresignOptions,
  PresignPutOptions,
  PresignReadOptions,
  PutOptions,
  Range,
  ReadBytesOptions,
  ReadOptions,
  Source,
  StorageConfig,
  StorageService,
  StoredObject,
  UploadInput,
  UploadMethod,
  UploadProgress,
  WebReadable,
  WriteOptions
} from "./aws/Storage.ts"
export * as StorageKey from "./aws/StorageKey.ts"
export * as Database from "./db/Database.ts"
export { BloodDb, GarminDb, MainDb, UfcDb } from "./db/Database.ts"
export * as HttpSession from "./db/HttpSession.ts"
export * as Repository from "./db/Repository.ts"
export {
  ConfigurationError,
  ConfigurationProblem,
  ConfigurationReason,
  DatabaseError,
  DatabaseReason,
  ServiceError,
  ServiceReason
} from "./Errors.ts"
export { Health } from "./Health.ts"
export type {
  HealthCheck,
  HealthContext,
  HealthOptions,
  HealthParts,
  HealthReport,
  HealthService,
  HealthStatus,
  HealthVerdict,
  MetricsOptions
} from "./Health.ts"
export * as HttpShutdown from "./HttpShutdown.ts"
export * as Inbox from "./Inbox.ts"
export * as Infrastructure from "./Infrastructure.ts"
export { Outbox } from "./Outbox.ts"
export type {
  AnyQueueTag,
  Blocked,
  OutboxEnqueueOptions,
  OutboxStatus,
  Pending,
  RelayOptions,
  RelayStatus
} from "./Outbox.ts"
