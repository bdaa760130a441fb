export { LocalStack } from "./LocalStack.ts"
