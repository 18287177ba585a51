namespace Firn.Linux;

/// <summary>Who makes a system call: what the kernel keeps of it in some objects.</summary>
/// <param name="Pid">The process, as the pid namespace in which the caller's children are has it.</param>
/// <param name="User">The effective user.</param>
/// <param name="Group">The effective group.</param>
public readonly record struct Identity(int Pid, uint User, uint Group);
