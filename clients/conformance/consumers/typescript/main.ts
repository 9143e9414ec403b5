/** Asks for one decision: all that a TypeScript caller needs. */
import { parseConversation, RoutingClient } from "@archrouter/client";
import { Outcome } from "@archrouter/client/v1";

const client = new RoutingClient(process.argv[2] ?? "127.0.0.1:50051", { timeoutMs: 5000 });
const chat = [{ role: "user", content: "my flask app returns 500, here is the traceback: KeyError user" }];
const selection = await client.selectModels(parseConversation(chat).request(), ["openai/gpt-4.1"]);
const outcome = selection.source === "service" ? Outcome[selection.decision.outcome] : selection.cause.message;
console.log(selection.source, selection.models[0]?.model, selection.models[0]?.parameters, outcome);
client.close();
