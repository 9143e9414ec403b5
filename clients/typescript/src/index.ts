/**
 * Asks ArchRouter which models should answer a conversation.
 *
 * @packageDocumentation
 */
export {
  RoutingClient,
  type CallOptions,
  type ClientOptions,
  type ModelsInit,
  type SelectRouteInit,
  type Selection,
} from "./client.js";
export { parseConversation, type ChatMessage, type Conversation, type Limits } from "./conversation.js";
export { RoutingError } from "./errors.js";
export { serviceConfig } from "./service_config.js";
