import { create } from "@bufbuild/protobuf";

import {
  type Message,
  MessageSchema,
  Role,
  type SelectRouteRequest,
  SelectRouteRequestSchema,
  TurnKind,
} from "./gen/archrouter/v1/routing_service_pb.js";

/** A message of an OpenAI-style chat request; what is not named here is not looked at. */
export interface ChatMessage {
  role: string;
  content?: unknown;
}

/** Limits of a conversation, as the server has them. */
export interface Limits {
  /** `limits.max_messages`; 256 by default. */
  messages?: number;
  /** `limits.max_message_characters`; 100,000 by default. */
  messageCharacters?: number;
}

/** What the service reads of an OpenAI-style chat. */
export interface Conversation {
  /** Oldest first, within the limits. */
  messages: Message[];
  /** What made the caller ask: a user's new text, a tool's result, or nothing that can be read. */
  turnKind: TurnKind;
  /** Content parts that are no text, e.g. images. */
  skippedParts: number;
  /** Messages that lost their middle to the limits. */
  cutMessages: number;
  /** The oldest messages, lost to the limits. */
  droppedMessages: number;
  /**
   * Asks about the conversation. `previousRouteId` is the route of its decision before this one, empty when there is
   * none: tool results, and turns that hold no text, keep it.
   */
  request(previousRouteId?: string): SelectRouteRequest;
  /**
   * Asks about the conversation. `routeTicket` is that of its decision before this one, empty when there is none; it
   * takes the place of the route and holds over reloads and replicas.
   */
  requestWithTicket(routeTicket: string): SelectRouteRequest;
}

const ROLES: ReadonlyMap<unknown, Role> = new Map([
  ["user", Role.USER],
  ["assistant", Role.ASSISTANT],
  ["system", Role.SYSTEM],
  ["developer", Role.SYSTEM],
  ["tool", Role.TOOL],
  ["function", Role.TOOL],
]);

/**
 * Reads `messages` of an OpenAI-style chat request. The text of content parts is kept and other parts are counted; null
 * content, e.g. beside tool calls, is empty text; developer counts as system and function as tool. A user's message
 * without any text, e.g. an image, is left out, and such a turn keeps the previous route. A message that is too long
 * loses its middle, a conversation that is too long its oldest messages, but never the latest text of the user.
 *
 * @throws TypeError for an unknown role or a content of another type; it names the field.
 */
export function parseConversation(chat: readonly ChatMessage[], limits: Limits = {}): Conversation {
  const counts = { skippedParts: 0, cutMessages: 0 };
  let turnKind = TurnKind.USER;
  const messages: Message[] = [];
  chat.forEach((message, index) => {
    const role = ROLES.get(message.role);
    if (role === undefined) {
      throw new TypeError(
        `messages[${index}].role is ${JSON.stringify(message.role)}; ` +
          "it must be user, assistant, system, developer, tool or function",
      );
    }
    const { text, skipped } = textOf(message.content, `messages[${index}].content`);
    counts.skippedParts += skipped;
    const unreadable = role === Role.USER && skipped > 0 && text.trim() === "";
    // Where nothing new can be read, the server keeps the route as it does when a turn is tried again.
    turnKind = role === Role.TOOL ? TurnKind.TOOL_RESULT : unreadable ? TurnKind.RETRY : TurnKind.USER;
    if (!unreadable) {
      const content = cut(text, limits.messageCharacters ?? 100_000);
      counts.cutMessages += content === text ? 0 : 1;
      messages.push(create(MessageSchema, { role, content: content.toWellFormed() }));
    }
  });
  const kept = newest(messages, limits.messages ?? 256);
  return {
    ...counts,
    messages: kept,
    turnKind,
    droppedMessages: messages.length - kept.length,
    request(previousRouteId = "") {
      return create(SelectRouteRequestSchema, { messages: kept, options: { previousRouteId, turnKind } });
    },
    requestWithTicket(routeTicket) {
      return create(SelectRouteRequestSchema, { messages: kept, options: { routeTicket, turnKind } });
    },
  };
}

function textOf(content: unknown, field: string): { text: string; skipped: number } {
  if (content === undefined || content === null) {
    return { text: "", skipped: 0 };
  }
  if (typeof content === "string") {
    return { text: content, skipped: 0 };
  }
  if (!Array.isArray(content)) {
    throw new TypeError(`${field} must be text, a list of parts or null`);
  }
  const texts = content.filter(isTextPart).map((part) => part.text);
  return { text: texts.join("\n"), skipped: content.length - texts.length };
}

function isTextPart(part: unknown): part is { text: string } {
  return (
    typeof part === "object" && part !== null && "type" in part && part.type === "text" &&
    "text" in part && typeof part.text === "string"
  );
}

/** Characters are code points, as the server counts them. */
function cut(text: string, limit: number): string {
  if (text.length <= limit) {
    return text; // UTF-16 units are never fewer than characters
  }
  const characters = [...text];
  if (characters.length <= limit) {
    return text;
  }
  const tail = Math.floor(limit / 2);
  return [...characters.slice(0, limit - tail), ...characters.slice(characters.length - tail)].join("");
}

function newest(messages: Message[], limit: number): Message[] {
  if (messages.length <= limit) {
    return messages;
  }
  const kept = messages.slice(messages.length - limit);
  const latest = messages.findLastIndex(({ role, content }) => role === Role.USER && content.trim() !== "");
  const [user] = latest < 0 || latest >= messages.length - limit ? [] : messages.slice(latest);
  return user === undefined ? kept : [user, ...kept.slice(1)];
}
