"""Messages between the supervisor and a worker: a kind, a msgpack header and, where there is one, a payload of JSON.

An operation goes to the worker, a notice comes from it. Each header is a struct that is checked once, where it
arrives; payloads pass through unread. Everything that concerns a conversation carries its id and incarnation,
so that what an older process of it still says can be told apart.
"""
