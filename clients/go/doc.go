// Package archrouter asks ArchRouter which models should answer a conversation.
//
// A [Client] holds one connection: make it once, use it from any goroutine, close it. Each call has a deadline, 300 ms
// unless [WithTimeout] says otherwise. [Client.SelectRoute] returns the decision or an [*Error]; [Client.SelectModels]
// is for the hot path: while the service is away, overloaded or too slow it returns the caller's own models, and it
// fails only for what the caller has to mend.
//
// Requests and decisions are the messages of [archrouter.internal/archrouter/archrouterv1]. Numbers in
// ModelTarget.parameters travel as doubles; [Parameters] gives whole ones back as int64.
package archrouter
