"""The spawner and the leaders of steps: a program of its own, that imports nothing of ours but itself.

It runs as `python -I -S`, with this folder as the package `leading`: `serve.serve` forks a leader for every socket that
it is handed on descriptor 3, until that closes; `probe.probe` makes a private root and goes.

A leader leads one step at a time, on the order of the platform, which holds the other end of its socket. It claims the
step's home (`pid`, made with O_EXCL: the first one wins), starts the step in a process group of its own (in a private
root, if there is one), copies what it prints to `main.log` with the time, and notes how it ended in `pid` too. If the
platform goes away meanwhile it sees its step to the end, and goes too; it does not need the spawner. What a step leaves
behind becomes the leader's child (it is the reaper of its descendants) and is killed at the step's end: `setsid` and
double forks do not get away. Forking a Python costs 2 ms of processor time, so leaders are used again and again; a file
costs up to 2 ms on a disk that much was removed from, so there is one for each step, and a log if it prints.

    order    4 bytes of length, then a marshalled dict: home, argv, env, cwd, capture, umask, layout; makes: directories
             to be made in the home, and it too; script: what to write there; hasty: the answer may wait for the end;
             recorded: whether there is a `pid`; fleeting: nobody looks into the home of a step that left nothing there
    answer   "<pid of the step>\n" (0 if it never began), or "!<errno> <text>\n" where there was no room to begin
    end      "E" and the same JSON line as in `pid`, once that is noted
    pid      "<boot id> <pid> <start time> <time of day>\n" of the leader, then "<pid of the step>\n"; from byte 512 on,
             once the step has ended, JSON: code, signal, began, started, finished, cpu_s, peak_bytes, trouble
"""
