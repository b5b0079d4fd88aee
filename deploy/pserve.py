"""Run ``pserve`` for ``make run``: Ctrl-C ends it without a traceback, even while Python imports modules."""

import signal

if __name__ == "__main__":
    # The server installs its own handler before it starts.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pyramid.scripts.pserve import main

    raise SystemExit(main())
