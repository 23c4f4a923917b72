"""A pause that ends by itself, and one whose values have defaults."""

from hera.workflows import Parameter, Steps, Suspend, Workflow, script


@script()
def say(what: str):
    print(what)


with Workflow(generate_name="suspends-", entrypoint="main") as w:
    pause = Suspend(name="pause", duration="20ms")
    ask = Suspend(
        name="ask",
        duration="20ms",
        intermediate_parameters=[Parameter(name="approve", enum=["yes", "no"], default="no")],
    )
    with Steps(name="main"):
        pause(name="pause")
        asked = ask(name="ask")
        say(name="say", arguments={"what": asked.get_parameter("approve")})
