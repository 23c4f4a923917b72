"""Spans of the whole way, from an event to a commit: built from the store's rows once a thing is over, and sent.

    receive (or publish, for events of ours)     the event's arrival, until the sensors have it
      decide <sensor>                            one for each sensor that it concerned
        firing <trigger>                         until its action is over; linked to its other events
          act <kind>
            run <workflow>                       its steps below, as they were nested
            promote <name>                       gates, git push, verification
              publish promotion.<phase>          and on from there

Ids and times follow from what is written down, so sending them again after a crash sends the same. Nothing of this is
on the way of an event: the database notes what is over (`retrain.store.span_feed`), and a part of its own sends it.
"""

from retrain.app.tracing.part import Tracing
from retrain.app.tracing.sender import open_sender

__all__ = ["Tracing", "open_sender"]
