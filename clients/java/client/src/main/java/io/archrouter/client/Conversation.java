package io.archrouter.client;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import io.archrouter.v1.Message;
import io.archrouter.v1.Role;
import io.archrouter.v1.RoutingOptions;
import io.archrouter.v1.SelectRouteRequest;
import io.archrouter.v1.TurnKind;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What the service reads of an OpenAI-style chat.
 *
 * @param messages oldest first, within the limits
 * @param turnKind what made the caller ask: a user's new text, a tool's result, or nothing that can be read
 * @param skippedParts content parts that are no text, e.g. images
 * @param cutMessages messages that lost their middle to the limits
 * @param droppedMessages the oldest messages, lost to the limits
 */
public record Conversation(
    List<Message> messages, TurnKind turnKind, int skippedParts, int cutMessages, int droppedMessages) {

  /**
   * Limits of a conversation, as the server has them.
   *
   * @param messages {@code limits.max_messages}
   * @param messageCharacters {@code limits.max_message_characters}
   */
  public record Limits(int messages, int messageCharacters) {
    /** Those of a server that was not told otherwise. */
    public static final Limits DEFAULT = new Limits(256, 100_000);

    private String cut(String text) {
      int surplus = text.codePointCount(0, text.length()) - messageCharacters;
      if (surplus <= 0) {
        return text;
      }
      int tail = messageCharacters / 2;
      int head = text.offsetByCodePoints(0, messageCharacters - tail);
      return text.substring(0, head) + text.substring(text.offsetByCodePoints(head, surplus));
    }
  }

  private static final Map<String, Role> ROLES =
      Map.of(
          "user", Role.ROLE_USER,
          "assistant", Role.ROLE_ASSISTANT,
          "system", Role.ROLE_SYSTEM,
          "developer", Role.ROLE_SYSTEM,
          "tool", Role.ROLE_TOOL,
          "function", Role.ROLE_TOOL);

  /**
   * Reads the JSON list {@code messages} of an OpenAI-style chat request, within the limits of a server that was not
   * told otherwise; see {@link #parse(String, Limits)}.
   */
  public static Conversation parse(String chat) {
    return parse(chat, Limits.DEFAULT);
  }

  /**
   * Reads the JSON list {@code messages} of an OpenAI-style chat request. The text of content parts is kept and other
   * parts are counted; null content, e.g. beside tool calls, is empty text; developer counts as system and function as
   * tool. A user's message without any text, e.g. an image, is left out, and such a turn keeps the previous route. A
   * message that is too long loses its middle, a conversation that is too long its oldest messages, but never the
   * latest text of the user.
   *
   * @throws IllegalArgumentException for an unknown role or a content of another type; it names the field
   */
  public static Conversation parse(String chat, Limits limits) {
    List<Message> messages = new ArrayList<>();
    TurnKind turnKind = TurnKind.TURN_KIND_USER;
    int skippedParts = 0;
    int cutMessages = 0;
    JsonArray list = parsed(chat);
    for (int i = 0; i < list.size(); i++) {
      JsonObject message = object(list.get(i), "messages[" + i + "]");
      Role role = role(message.get("role"), "messages[" + i + "].role");
      Content content = Content.of(message.get("content"), "messages[" + i + "].content");
      skippedParts += content.skipped();
      boolean unreadable = role == Role.ROLE_USER && content.skipped() > 0 && content.text().isBlank();
      turnKind = turnKind(role, unreadable);
      if (!unreadable) {
        String text = limits.cut(content.text());
        cutMessages += text.equals(content.text()) ? 0 : 1;
        messages.add(Message.newBuilder().setRole(role).setContent(text).build());
      }
    }
    List<Message> kept = newest(messages, limits.messages());
    return new Conversation(kept, turnKind, skippedParts, cutMessages, messages.size() - kept.size());
  }

  /**
   * Asks about the conversation; tool results, and turns that hold no text, keep the previous route.
   *
   * @param previousRouteId route of the conversation's decision before this one; empty when there is none
   */
  public SelectRouteRequest request(String previousRouteId) {
    RoutingOptions options =
        RoutingOptions.newBuilder().setPreviousRouteId(previousRouteId).setTurnKind(turnKind).build();
    return SelectRouteRequest.newBuilder().addAllMessages(messages).setOptions(options).build();
  }

  /**
   * Asks about the conversation, as {@link #request} does, but by a ticket, which holds over reloads and replicas.
   *
   * @param routeTicket that of the conversation's decision before this one; empty when there is none
   */
  public SelectRouteRequest requestWithTicket(String routeTicket) {
    SelectRouteRequest.Builder request = request("").toBuilder();
    request.getOptionsBuilder().setRouteTicket(routeTicket);
    return request.build();
  }

  private static TurnKind turnKind(Role role, boolean unreadable) {
    if (role == Role.ROLE_TOOL) {
      return TurnKind.TURN_KIND_TOOL_RESULT;
    }
    // Where nothing new can be read, the server keeps the route as it does when a turn is tried again.
    return unreadable ? TurnKind.TURN_KIND_RETRY : TurnKind.TURN_KIND_USER;
  }

  private static List<Message> newest(List<Message> messages, int limit) {
    int surplus = messages.size() - limit;
    if (surplus <= 0) {
      return List.copyOf(messages);
    }
    List<Message> kept = new ArrayList<>(messages.subList(surplus, messages.size()));
    for (int i = messages.size() - 1; i >= 0; i--) {
      Message message = messages.get(i);
      if (message.getRole() == Role.ROLE_USER && !message.getContent().isBlank()) {
        if (i < surplus) {
          kept.set(0, message);
        }
        break;
      }
    }
    return List.copyOf(kept);
  }

  private static JsonArray parsed(String chat) {
    try {
      if (JsonParser.parseString(chat) instanceof JsonArray list) {
        return list;
      }
    } catch (JsonParseException malformed) {
      throw new IllegalArgumentException("messages: " + malformed.getMessage(), malformed);
    }
    throw new IllegalArgumentException("messages must be a list");
  }

  private static JsonObject object(JsonElement element, String field) {
    if (element instanceof JsonObject object) {
      return object;
    }
    throw new IllegalArgumentException(field + " must be an object");
  }

  private static Role role(JsonElement name, String field) {
    Role role = isText(name) ? ROLES.get(name.getAsString()) : null;
    if (role == null) {
      throw new IllegalArgumentException(
          field + " is " + name + "; it must be user, assistant, system, developer, tool or function");
    }
    return role;
  }

  private static boolean isText(JsonElement element) {
    return element != null && element.isJsonPrimitive() && element.getAsJsonPrimitive().isString();
  }

  private record Content(String text, int skipped) {
    static Content of(JsonElement content, String field) {
      if (content == null || content.isJsonNull()) {
        return new Content("", 0);
      }
      if (isText(content)) {
        return new Content(content.getAsString(), 0);
      }
      if (!(content instanceof JsonArray parts)) {
        throw new IllegalArgumentException(field + " must be text, a list of parts or null");
      }
      List<String> texts = new ArrayList<>();
      for (JsonElement part : parts) {
        if (part instanceof JsonObject fields
            && isText(fields.get("type"))
            && fields.get("type").getAsString().equals("text")
            && isText(fields.get("text"))) {
          texts.add(fields.get("text").getAsString());
        }
      }
      return new Content(String.join("\n", texts), parts.size() - texts.size());
    }
  }
}
