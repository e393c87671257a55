"""The mask-predict loop, its schedule and random numbers: functions of arrays. It knows no engine and no picture."""
