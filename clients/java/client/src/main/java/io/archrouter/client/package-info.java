/**
 * Asks ArchRouter which models should answer a conversation.
 *
 * <p>{@link io.archrouter.client.RoutingClient} calls the service, {@link io.archrouter.client.Conversation} reads
 * OpenAI-style messages. Requests and decisions are the messages of {@code io.archrouter.v1}.
 */
package io.archrouter.client;
