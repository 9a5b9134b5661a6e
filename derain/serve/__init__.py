"""An HTTP API and a web page that take the rain out of pictures: ``derain serve``.

    client -> body read in the event loop -> queue -> decoder -> worker -> decoder -> client
              (`uploads`)                 (`admission`)  (`decoding`)  (`workers`)

`app` has the routes and `server` runs them. A picture is decoded and encoded in a process of
limited memory and time (`decoding`), and derained in a process that keeps its models loaded
(`workers`); `processes` starts both and replaces those that end. `service` takes a picture through
them. `settings` says how much each of them may take.
"""
