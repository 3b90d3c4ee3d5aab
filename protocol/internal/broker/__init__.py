"""Messages between the auth broker and its clients, the supervisor and the workers.

Authority belongs to the CURVE key, not to the message: `questions.WORKER_MAY` and `questions.SUPERVISOR_MAY` say which
key may send which kind. Every question carries an id that its answer repeats; answers may come in another order.
"""
