global using ProcStatus = Firn.Linux.Procfs.TaskStatus;
