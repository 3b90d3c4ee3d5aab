"""How the figures are measured, as the page tells it."""

from typing import Final

METHOD: Final = (
    "Both programs talk to the same scripted model server, a process of its own on the loopback interface, in the"
    " same run. Their repetitions alternate, and so does who goes first.",
    "The client reads the pipe in blocks of up to 1 MiB, and only looks for answers and counts the text of deltas,"
    " because its time is taken from the same cores. It reads as fast as it can.",
    "The reference is started directly: its native program, and not the script for Node from which its users start"
    " it. Three rows give the times of starting it through that script.",
    "Each program has a home of its own that has seen one start and one turn before anything is measured, except"
    " where a row says that the home is fresh; there is no sandbox but where a row names it, and there are no"
    " approvals.",
    "New conversations and replies are measured one after the other in a warm server. A request has reached the model"
    " when the model server has read its head, on the clock that all processes share.",
    "Metrics and traces: thirty rounds of turns with commands, with both off and with both on, in two programs that"
    " have their rounds by turns, so that both have the same from the rest of the machine; what each uses between its"
    " rounds counts. The page of metrics is read in every fifth round, and traces, events and metrics go to a collector"
    " on the loopback interface, whose CPU does not count. The model answers at once and in one piece: with one that"
    " streams, a turn costs more and telemetry the same.",
    "CPU is that of the whole process tree of the program, user and system, ended children included; neither the"
    " model server nor the client is in it. Idling begins 2 s after the last answer and is measured for 10 s.",
    "Where deltas come one by one, another model server sends them, each at its own time, with a random offset for"
    " each conversation and its sending time in its text. Each run has a fresh home. In mid-stream CPU is measured for"
    " 10 s, in conversations that have had a turn: the program has come to rest before, and the measurement begins 1 s"
    " after the last stream, or up to 10 s later where the begin of so many turns still holds deltas up. Over new"
    " conversations it is measured from the calls to the answers, so that what a program does for the begin of a"
    " conversation is spread over 10 s of deltas; in the case of the reference that is most of it. What idling costs"
    " is taken off. The reference has no mode in which the client gets no deltas, and its figure with them stands"
    " beside that of Greenroom without (its setting `events` is off).",
    "A delta's way begins when the model server hands it to the system and ends when the client has read the block"
    " that holds its first copy. Deltas that arrive joined count each. A run fails unless every delta arrives.",
    "How many conversations are carried is found by doubling and bisecting, on one started program, each number"
    " watched for 4 s, one that fails tried twice, for ten minutes at most. The program has two cores; on a"
    " machine that has no more, the client and the model server share them, and take 0.2 cores at 256 conversations."
    " A number fails, too, if the model server finds no time for 95 % of the deltas.",
    "Rows that name a version of CPython are those of Greenroom on other interpreters of the machine, each with the"
    " same packages, in the same run. The other rows are those of the interpreter that runs the benchmark.",
    "The 100 calls come to a server that has had one turn and 2 s of rest. In the first tenth of a second after its"
    " first turn Greenroom still makes ready what later conversations share, and takes some 0.2 s longer over them.",
    "Bearers are asked for with no server around: one broker, and workers in four processes that ask ten times a"
    " second each, a thousand questions a second.",
    "The calibration is fixed work outside both programs, the best of five tries before the run and again after it."
    " It tells how far figures from different machines can be compared, and whether the machine was busy.",
    "Rows on attaching, and on `app-server`, are measured as those of an MCP server are: the same model server, homes"
    " that have seen one turn, programs that alternate. There the reference is the newest release, which has no MCP"
    " server any more. A host is started, and is at rest, before the client that attaches, and is no part of that"
    " client's time.",
    "The 20 clients join one host by `greenroom app-server --attach`, or start 20 programs. Each has five threads that"
    " have had a turn; then every thread has a turn each 4 s for 20 s, all evenly spread, whatever has become of the"
    " earlier ones: what begins late for that reason has waited. CPU and PSS (`smaps_rollup`) are those of all"
    " processes of the host and its clients, or of the 20 programs.",
    "Private memory is `Private_Clean` + `Private_Dirty` of `smaps_rollup`; all else is shared with the fork server."
    " For the reference it is what its process grows by for each further conversation.",
)
NOTES: Final = (
    "The model server writes deltas in large blocks, as fast as they are read, and what is counted are its deltas,"
    " also where Greenroom joins several for the client. Where a model sends them one at a"
    " time, one delta costs each program more.",
    "The 100 calls and what idles after them are measured once for the reference, which takes long over them.",
    "A row of memory stays empty where the user who measures may not read `smaps_rollup` of a process that has made"
    " itself undumpable.",
)
