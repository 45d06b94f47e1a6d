"""What has to change when code moves to another function?

`differences` finds, for every choice on which two conventions differ, a problem small enough to follow by hand that
shows it; `translation` searches for a call of the second function that means the same as a call of the first, and
`manual_steps` describes in words what no argument can do. The exact answer proves a translation before it is tried.
"""
